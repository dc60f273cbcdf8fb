"""The archive for GPU machines without a compiler and our libraries, and CUDA's libraries there."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from commands import ROOT, output_of

# Libraries of every GPU machine. cuBLASLt (0.5 GB) comes from the machine's toolkit or from PyTorch.
SYSTEM = re.compile(r"(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libpthread|libresolv|libutil|libstdc\+\+|"
                    r"libgcc_s|libcuda|libcublas|libcublasLt|libnv.*)\.so")
FOLDERS = ["scripts", "bench", "configs", "tests/golden", "tests/programs", "tests/torch"]


def missing(program):
    return re.findall(r"^\s*(\S+) => not found", output_of("ldd", str(program)), re.M)


def cuda_library_path(program, python):
    """LD_LIBRARY_PATH, with the folders of the Python packages of CUDA libraries that the program lacks."""
    path = os.environ.get("LD_LIBRARY_PATH", "")
    names = [name for name in missing(program) if name.startswith("libcu")]
    optional = ["libnccl.so.2"]  # loaded when several processes start
    places = output_of(python, "-c", "import nvidia; print(*nvidia.__path__, sep='\\n')").splitlines()
    files = [(name, file) for place in places for name in names + optional
             for file in pathlib.Path(place).rglob(name)]
    found = {name: str(file.parent) for name, file in files}
    if lacking := [name for name in names if name not in found]:
        sys.exit(f"gpu_check: {program} needs {', '.join(lacking)}, which are neither where the loader looks "
                 f"nor with {python}'s packages; set LD_LIBRARY_PATH")
    return ":".join([*sorted(set(found.values())), *filter(None, [path])])


def libraries(program):
    """{name: path} of the libraries that the program loads, directly or not, except SYSTEM."""
    if lacking := [name for name in missing(program) if not SYSTEM.match(name)]:
        sys.exit(f"gpu_check: {program} needs {lacking[0]}, which is not here")
    loaded = re.findall(r"^\s*(\S+) => (/\S+)", output_of("ldd", str(program)), re.M)
    return {name: path for name, path in loaded if not SYSTEM.match(name)}


def is_elf(path):
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def copy_build(build, target):
    for folder in ("bin", "tests", "lib"):
        (target / folder).mkdir(parents=True)
    for file in [f for folder in ("bin", "tests") for f in sorted((build / folder).glob("*"))]:
        copy = target / file.parent.name / file.name
        if file.is_symlink() and "/" not in os.readlink(file):  # a command's link to the program
            copy.symlink_to(os.readlink(file))
        elif is_elf(file):
            for name, path in libraries(file).items():
                shutil.copy(path, target / "lib" / name)
            shutil.copy(file, copy)
        elif file.suffix == ".ini":
            shutil.copy(file, copy)
    for file in [f for f in target.rglob("*") if is_elf(f) and not f.is_symlink()]:
        subprocess.run(["strip", "-g", file], check=True)


def pack(build, archive, limit_mib, preset=6):
    if archive.suffixes[-2:] != [".tar", ".xz"]:
        sys.exit(f"gpu_check: --pack {archive}: a .tar.xz is made")
    with tempfile.TemporaryDirectory() as folder:
        top = pathlib.Path(folder)
        unneeded = shutil.ignore_patterns("__pycache__", "*.cpp", "*.h")
        for name in FOLDERS:
            shutil.copytree(ROOT / name, top / name, ignore=unneeded)
        copy_build(build, top / "build" / build.name)
        files = sorted(f for f in top.rglob("*") if f.is_file())
        with tarfile.open(archive, "w:xz", preset=preset) as tar:
            for file in files:
                tar.add(file, str(file.relative_to(top)))
        size = archive.stat().st_size / 2**20
        if size > limit_mib:
            archive.unlink()
            largest = sorted(files, key=lambda f: -f.stat().st_size)[:5]
            sizes = [f"{f.relative_to(top)} ({f.stat().st_size / 2**20:.1f})" for f in largest]
            sys.exit(f"gpu_check: {archive} would have {size:.1f} MiB, more than {limit_mib:g}; the largest "
                     f"files, in MiB before compression: {', '.join(sizes)}")
    print(f"{archive}: {len(files)} files, {size:.1f} MiB; there: tar xf {archive.name} && "
          "scripts/gpu_check --no-build")
