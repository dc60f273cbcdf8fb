"""What a build finds out about the machine and the folder it is in: scripts/jobs, scripts/find_nvcc, the
commit, sources in folders of any name, CUDA architectures.

build_test.py SCRIPTS_DIR [unittest arguments]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = SCRIPTS.parent
HAS_NVCC = (subprocess.run([SCRIPTS / "find_nvcc"], capture_output=True).returncode == 0
            and not set("$`'") & set(str(ROOT)))

GENERATOR = ["-G", "Ninja"] if shutil.which("ninja") else []


def call(*command, **options):
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    return done.returncode, re.sub(r"\s+", " ", done.stdout).strip()


class Build(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def jobs(self, **files):
        for name, text in files.items():
            (self.dir / name.replace("_", ".")).write_text(text)
        code, text = call(SCRIPTS / "jobs", env={**os.environ, "WARPBERT_CGROUPS": str(self.dir)})
        self.assertEqual(code, 0, text)
        return int(text)

    def test_jobs_follow_the_quota_of_processors(self):
        processors = len(os.sched_getaffinity(0))
        self.assertLessEqual(self.jobs(cpu_max="max 100000"), processors)
        self.assertEqual(self.jobs(cpu_max="50000 100000"), 1)
        self.assertEqual(self.jobs(cpu_max="100001 100000"), min(2, self.jobs(cpu_max="max 100000")))

    def test_jobs_follow_the_limit_of_memory(self):
        most = self.jobs(memory_max="max", memory_current="1")
        self.assertEqual(self.jobs(memory_max=str(1300 << 20), memory_current=str(50 << 20)), min(2, most))
        self.assertEqual(self.jobs(memory_max=str(1000 << 20), memory_current=str(500 << 20)), 1)
        self.assertEqual(self.jobs(memory_max=str(100 << 20), memory_current="0"), 1)

    def test_jobs_follow_affinity(self):
        one = min(os.sched_getaffinity(0))
        self.assertEqual(call("taskset", "-c", str(one), SCRIPTS / "jobs"), (0, "1"))

    def test_nvcc_is_found_on_the_path_and_by_cuda_home(self):
        for place in ("path/nvcc", "home/bin/nvcc"):
            (self.dir / place).parent.mkdir(parents=True)
            (self.dir / place).write_text("#!/bin/sh\n")
            (self.dir / place).chmod(0o755)
        path = "/usr/bin:/bin"
        self.assertEqual(call(SCRIPTS / "find_nvcc",
                              env={"PATH": f"{self.dir}/path:{path}", "CUDA_HOME": f"{self.dir}/home"}),
                         (0, f"{self.dir}/path/nvcc"))
        if not pathlib.Path("/usr/bin/nvcc").exists():
            self.assertEqual(call(SCRIPTS / "find_nvcc", env={"PATH": path, "CUDA_HOME": f"{self.dir}/home"}),
                             (0, f"{self.dir}/home/bin/nvcc"))

    def test_nvcc_that_is_nowhere_is_one_line(self):
        if HAS_NVCC:
            self.skipTest("nvcc is installed here")
        self.assertEqual(call(SCRIPTS / "find_nvcc"),
                         (1, "error: the CUDA Toolkit (12.0 or later) is needed, and nvcc is neither "
                             "on PATH nor in its usual places; set CUDA_HOME"))

    def commit(self, source):
        output = self.dir / "commit.h"
        code, text = call("cmake", f"-DSOURCE={source}", f"-DOUTPUT={output}",
                          "-P", ROOT / "cmake/build_commit.cmake")
        self.assertEqual(code, 0, text)
        return re.fullmatch(r'#define WARPBERT_COMMIT "(.*)"\n', output.read_text())[1]

    def repository(self):
        repository = self.dir / "it's a [repository]"
        (repository / "inside").mkdir(parents=True)
        (repository / "file").write_text("1")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", repository]
        for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "first"]):
            subprocess.run([*git, *command], check=True)
        commit = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True)
        return repository, commit.strip()

    def test_the_commit_is_that_of_the_clone(self):
        repository, commit = self.repository()
        self.assertEqual(self.commit(repository), commit)
        (repository / "file").write_text("2")
        self.assertEqual(self.commit(repository), commit + ", changed")

    def test_an_archive_has_no_commit_even_inside_of_another_repository(self):
        repository, _ = self.repository()
        self.assertEqual(self.commit(repository / "inside"), "unknown")
        (self.dir / "nowhere").mkdir()
        self.assertEqual(self.commit(self.dir / "nowhere"), "unknown")

    def test_a_clone_of_another_user_has_its_commit(self):
        if os.geteuid():
            self.skipTest("only root can give a folder away")
        repository, commit = self.repository()
        for path in (repository, *repository.rglob("*")):
            os.chown(path, 65534, 65534)
        self.assertEqual(self.commit(repository), commit)

    def configure(self, name):
        """Lists *.cpp of a project in a folder of this name, as CMakeLists.txt does."""
        folder = self.dir / name
        (folder / "io").mkdir(parents=True)
        (folder / "io/a.cpp").write_text("")
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(x LANGUAGES NONE)\n"
            f"include([==[{ROOT}/cmake/sources.cmake]==])\nsources(found io/*.cpp)\n"
            "message(\"found: ${found}\")\n")
        return call("cmake", *GENERATOR, "-S", folder, "-B", folder / "build")

    def test_folders_of_any_name_that_cmake_can_take(self):
        for name in ("warpbert-main (1)", "R&D", "it's", "[v1]", "x$y", "f[o]o*?", "größe", "文本", "a+b", "~x",
                     "a%b", "{x}", "-x"):
            with self.subTest(name):
                code, text = self.configure(name)
                self.assertEqual(code, 0, text)
                self.assertIn(f"found: {self.dir}/{name}/io/a.cpp", text)

    def test_a_folder_that_cmake_cannot_take_is_one_line(self):
        for name in ("c#", 'a"b', "a;b", "[v1", "v1]"):
            with self.subTest(name):
                code, text = self.configure(name)
                self.assertEqual(code, 1, text)
                self.assertIn('CMake cannot build in a folder whose path has one of # ; '
                              '" \\ or a lone [ or ]; rename it', text)

    def test_architectures_that_the_kernels_or_nvcc_lack_are_one_line(self):
        if not HAS_NVCC:
            self.skipTest("no nvcc, or none that takes this folder's name")
        for architectures, message in (("70", "=70: kernels need sm_80 (Ampere) or later"),
                                       ("80;75", "=75: kernels need sm_80"), ("999", "=999: nvcc "),
                                       ("fast", "=fast: kernels need sm_80")):
            with self.subTest(architectures):
                code, text = call("cmake", *GENERATOR, "-S", ROOT, "-B", self.dir / "build",
                                  "-DWARPBERT_CUDA=ON", f"-DCMAKE_CUDA_ARCHITECTURES={architectures}")
                self.assertEqual(code, 1, text)
                self.assertIn(f"CMAKE_CUDA_ARCHITECTURES{message}", text)

    def test_the_native_architecture_is_the_gpus(self):
        if not HAS_NVCC:
            self.skipTest("no nvcc, or none that takes this folder's name")
        nvidia_smi = self.dir / "nvidia-smi"
        environment = {**os.environ, "PATH": f"{self.dir}:{os.environ['PATH']}"}

        def native(script):
            shutil.rmtree(self.dir / "build", ignore_errors=True)
            nvidia_smi.write_text(f"#!/bin/sh\n{script}\n")
            nvidia_smi.chmod(0o755)
            return call("cmake", *GENERATOR, "-S", ROOT, "-B", self.dir / "build", "-DWARPBERT_CUDA=ON",
                        "-DCMAKE_CUDA_ARCHITECTURES=native", env=environment)

        code, text = native("exit 9")
        self.assertEqual(code, 1, text)
        self.assertIn("=native: no GPU is found here; name its architecture: 80, 86", text)
        code, text = native("echo 7.5")
        self.assertEqual(code, 1, text)
        self.assertIn("=75: kernels need sm_80", text)


if __name__ == "__main__":
    unittest.main()
