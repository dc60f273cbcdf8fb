"""Compiles kernels with nvcc, and reads what ptxas reports about each."""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys

from commands import ROOT


def find_nvcc():
    found = subprocess.run([ROOT / "scripts/find_nvcc"], text=True, stdout=subprocess.PIPE)
    return found.stdout.strip() or sys.exit(1)  # find_nvcc has printed the reason


def compile_kernels(files, architectures):
    """Compiles the files for the architectures; returns the output of ptxas."""
    nvcc = find_nvcc()

    def compile_one(job):
        file, architecture = job
        command = [nvcc, "-std=c++20", "-O3", "--extended-lambda", "-Xptxas=-v", f"-arch=sm_{architecture}",
                   "-cubin", "-o", "/dev/null", "-I", ".", os.path.relpath(file, ROOT)]  # nvcc expands $
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT)
        if done.returncode:
            sys.exit(f"check_ptxas: {file} does not compile for sm_{architecture}\n{done.stdout}")
        return done.stdout

    with concurrent.futures.ThreadPoolExecutor(2) as two:
        return "\n".join(two.map(compile_one, [(f, a) for f in files for a in architectures]))


def parse(log):
    """Yields (mangled name, architecture, numbers of ptxas) for each kernel."""
    parts = re.split(r"Compiling entry function '(\w+)' for '(\w+)'", log)
    for name, architecture, text in zip(parts[1::3], parts[2::3], parts[3::3]):
        properties = re.search(rf"Function properties for {name}\s+(\d+) bytes stack frame, "
                               r"(\d+) bytes spill stores, (\d+) bytes spill loads", text)
        used = re.search(r"Used (\d+) registers.*", text)
        if not properties or not used:
            sys.exit(f"check_ptxas: ptxas says nothing that this script understands about {name}")
        stack, stores, loads = map(int, properties.groups())
        memory = {kind: int(size) for size, kind in re.findall(r"(\d+) bytes (smem|lmem)", used[0])}
        yield name, architecture, {"registers": int(used[1]), "smem": 0, "stack frame": stack,
                                   "spill stores": stores, "spill loads": loads, "lmem": 0} | memory


def demangle(names):
    """["cast_kernel<float>", …]"""
    program = (shutil.which("cu++filt") or shutil.which("c++filt")
               or str(pathlib.Path(find_nvcc()).with_name("cu++filt")))
    done = subprocess.run([program], input="\n".join(names), text=True, stdout=subprocess.PIPE, check=True)
    return [short(line) for line in done.stdout.splitlines()]


def short(name):
    """cast_kernel<float> for "void (anonymous namespace)::cast_kernel<float>(float*, int)"."""
    name = name.replace("(anonymous namespace)::", "").replace("<unnamed>::", "").replace("(bool)1", "true")
    name = re.sub(r"\((?:int|unsigned int|bool)\)", "", name.replace("(bool)0", "false"))
    name = re.sub(r"^\S*\bvoid ", "", re.sub(r"\b\w+::", "", name)).replace("__nv_bfloat16", "bf16")
    depth = 0
    for i, c in enumerate(name):  # the ( outside <> opens the arguments
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name
