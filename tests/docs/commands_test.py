"""Every command in the pages and in bench/*_rows.txt exists, with each sub-command, option, key and preset
that the page gives it. The walkthrough of docs/text.md and scripts/demo also run, in a copy.

commands_test.py BIN_DIR [unittest arguments]
"""
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "simt/README.md", *sorted(ROOT.glob("docs/**/*.md"))]
OURS = ("scripts/", "bench/", "studies/", "io/convert/", "tests/", "build/", ".ci/")
# Programs of the system, which no page explains; `ctest` and `cmake` are checked for presets.
OTHERS = set("ctest cmake cpack cp mkdir cat zcat cut sort head cd pip gdb ncu compute-sanitizer".split())
# Names that a page shows but no build has. tanh is the example of a new op in CONTRIBUTING.md.
EXCEPTIONS = {"kernels/tanh.cu", "--only=tanh_forward", "^kernels/tanh_test/|^engine/ops_test/tanh"}


def blocks(page):
    """(line number, language, text) of each block of code"""
    text = page.read_text()
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, match.start()) + 2, match[1], match[2]


def script_lines(block):
    """(offset, line) without texts of <<'END' and python3 -c '…', continued lines joined"""
    block = re.sub(r"(<<'END'\n).*?^END$", lambda m: "\n" * m[0].count("\n"), block, flags=re.S | re.M)
    block = re.sub(r"(python3 -c ')[^']*'", lambda m: "true" + "\n" * m[0].count("\n"), block)
    offset = 0
    for line in block.replace("\\\n", "\0").split("\n"):
        yield offset, line.replace("\0", " ")
        offset += 1 + line.count("\0")


def without_launcher(words):
    """Without `mpirun -np 4`, `srun --mpi=pmix -n 4` or `env X=1` before a program."""
    if words[0] == "env":
        return [word for word in words[1:] if "=" not in word or word[0] == "-"]
    if words[0] in ("mpirun", "srun"):
        words = words[1:]
        while words and words[0][0] == "-":  # options with their values
            words = words[1 if "=" in words[0] else 2:]
    return words


def commands_of(line):
    """Lists of words, one for each command of a shell line; [] for a comment."""
    lexer = shlex.shlex(line.replace("…", ""), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, "#"
    command = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;"):
            if command:
                yield without_launcher(command)
            command = []
        elif not (command == [] and re.match(r"\w+=", word)):  # SIMT_ORDER=random program
            command.append(word)


def is_command(words):
    name = words[0]
    return name in OTHERS or name in ("warpbert", "python3", "true", "./train") or name.startswith(OURS)


def is_script(language, block):
    first = next((words for _, line in script_lines(block) for words in commands_of(line)), None)
    return not language and first and is_command(first)


def in_blocks(page):
    """(where, words) of each command in a block whose first line is one"""
    for number, language, block in blocks(page):
        for offset, line in script_lines(block) if is_script(language, block) else []:
            if not re.match(r"\(gdb\)|\$\d", line):
                yield from ((f"{page.name}:{number + offset}", words) for words in commands_of(line))


def in_sentences(page):
    """(where, words) of `scripts/…`, `train --…`, `ctest …` in running text"""
    text = re.sub(r"^```.*?^```$", lambda m: "\n" * m[0].count("\n"), page.read_text(), flags=re.M | re.S)
    for match in re.finditer(r"`([^`]+)`", text):
        words = match[1].replace("…", "").split()
        path = words and words[0].startswith(OURS) and (len(words) > 1 or "." not in words[0].split("/")[-1])
        ours = len(words) > 1 and (words[0] == "ctest"
                                   or (BIN / words[0]).is_file() and words[1].startswith("-"))
        if (path and "<" not in match[1] and not words[0].endswith("/")) or ours:
            yield f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}", words


def in_rows(page):
    """(where, words) of each row of scripts/gpu_check"""
    words = {"PYTHON": ["python3"]}
    for number, line in enumerate(page.read_text().splitlines(), 1):
        head, equals, text = line.partition(" = ")
        if equals and line[0] != "#":
            command = [part for word in text.split() for part in words.get(word, [word])]
            words[head] = [re.sub("^BIN/", "build/cpu/bin/", word) for word in command]
            if not head.isupper():
                yield f"{page.name}:{number}", without_launcher(words[head])


@functools.cache
def options_of(*command):
    """The text that names all options: --help, or the source of a shell script and of Python whose imports
    fail."""
    source = command[0].read_bytes()
    shell = source.startswith(b"#!") and b"python" not in source.splitlines()[0]
    runner = [sys.executable] if command[0].suffix == ".py" else []
    done = not shell and subprocess.run([*runner, *command, "--help"], text=True, capture_output=True)
    return done.stdout if done and done.returncode == 0 else source.decode(errors="replace")


@functools.cache
def presets(kind):
    return [preset["name"]
            for preset in json.loads((ROOT / "CMakePresets.json").read_text())[kind + "Presets"]]


@functools.cache
def test_names():
    done = subprocess.run(["ctest", "--show-only=json-v1"], cwd=BIN.parent, text=True, stdout=subprocess.PIPE)
    return [test["name"] for test in json.loads(done.stdout)["tests"]]


def faults(words):
    """What is wrong with a command."""
    words = [word for word in words if word not in EXCEPTIONS]
    if words[0] == "python3" and len(words) > 1 and words[1].endswith(".py"):
        words = words[1:]
    name, rest = words[0], words[1:]
    if name == "ctest":
        if rest[:1] == ["--preset"] and rest[1] not in presets("test"):
            yield f"no test preset {rest[1]}"
        if "-R" in rest[:-1] and "cuda" not in rest[1]:
            if not any(re.search(rest[rest.index("-R") + 1], test) for test in test_names()):
                yield f"no test matches {rest[rest.index('-R') + 1]}"
        return
    if name == "scripts/build":
        if rest and rest[0] not in presets("build"):
            yield f"no preset {rest[0]}"
        return
    if name in OTHERS or name in ("python3", "true") or "runs/" in name or name.startswith("TESTS/"):
        return
    match = re.match(r"build/\w+/(bin|tests)/(\w+)$", name)
    if match or not name.startswith(OURS):
        program = BIN.parent / match[1] / match[2] if match else BIN / name
    else:
        program = ROOT / name
    if name.startswith("build/") and not match:
        return  # a folder or file that a build makes
    if not program.exists():
        yield f"no program {name}"
    elif program.is_file() and name not in ("scripts/profile", "scripts/test"):  # both pass options on
        command = [program]
        if name.endswith(("warpbert", "bin/study")) and rest[:1] and rest[0][0] != "-":
            command.append(rest[0])
            if not re.search(rf"^  {rest[0]} ", options_of(program), re.M):
                yield f"{name} has no command {rest[0]}"
                return
        for option in [re.match(r"[^=]*", word.strip("[]"))[0] for word in rest if re.match(r"\[?-\D", word)]:
            if option in ("--section.key",  # a placeholder
                          "--simt-order"):  # tests/support/main.cpp reads it
                continue
            if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", options_of(*command)):
                yield f"{name} has no option {option}"


class Commands(unittest.TestCase):
    def test_every_command_of_the_pages_exists(self):
        found = [command for page in PAGES for source in (in_blocks, in_sentences)
                 for command in source(page)]
        rows = [command for page in ROOT.glob("bench/*_rows.txt") for command in in_rows(page)]
        self.assertGreater(len(found), 120)
        self.assertGreater(len(rows), 60)
        wrong = [f"{where}: {fault}" for where, words in found + rows for fault in faults(words)]
        self.assertEqual(wrong, [])

    def test_faults_of_commands_are_found(self):
        for line, fault in {
            "scripts/no_such": "no program scripts/no_such",
            "build/cuda/bin/trian --config a.ini": "no program build/cuda/bin/trian",
            "X=1 build/cpu/bin/train --train.speed=3": "build/cpu/bin/train has no option --train.speed",
            "warpbert evaluate --run a": "warpbert has no command evaluate",
            "warpbert average [--weights a]": "warpbert has no option --weights",
            "cd x && scripts/gpu_check --append": "scripts/gpu_check has no option --append",
            "python3 bench/peers/peer.py --pear a": "bench/peers/peer.py has no option --pear",
            "ctest --preset cup": "no test preset cup",
            "ctest --preset cpu -R '^kernels/no_such/'": "no test matches ^kernels/no_such/",
            "scripts/build cpp": "no preset cpp",
            "srun --mpi=pmix -n 4 scripts/no_such": "no program scripts/no_such",
            "mpirun -np 4 scripts/no_such": "no program scripts/no_such",
            "env X=1 scripts/no_such --x=1": "no program scripts/no_such",
        }.items():
            self.assertEqual([f for words in commands_of(line) for f in faults(words)], [fault], line)

    def copy(self):
        """A folder with the scripts and links to the build."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        for name in ("scripts", "configs"):
            shutil.copytree(ROOT / name, root / name)
        (root / "build").mkdir()
        (root / "build/cpu").symlink_to(BIN.parent)
        return root

    def run_in(self, root, script):
        done = subprocess.run(["sh", "-ec", script], cwd=root, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=900,
                              env={**os.environ, "PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, f"{script}\n{done.stdout}")
        return done.stdout

    def test_the_walkthrough_of_plain_text_runs(self):
        root = self.copy()
        for name in ("build", "install_dependencies"):
            (root / "scripts" / name).write_text("#!/bin/sh\n")
        ran = 0
        for _, language, block in blocks(ROOT / "docs/text.md"):
            needs_more = "pip install" in block or "bert.npz" in block  # weights of others
            if not is_script(language, block) or needs_more:
                continue
            block = re.sub(r"^(.* train --config runs/pairs/text.ini)$", r"\1 --train.epochs=1", block,
                           flags=re.M)
            self.run_in(root, block.replace("range(rows)", "range(rows // 10)"))
            ran += 1
        self.assertGreaterEqual(ran, 5)
        self.assertTrue((root / "runs/pairs/hf/model.safetensors").exists())

    def test_the_demo_runs(self):
        root = self.copy()
        for name in ("build", "install_dependencies", "find_nvcc"):  # the last: preset cpu
            (root / "scripts" / name).write_text("#!/bin/sh\n" + ("exit 1\n" if name == "find_nvcc" else ""))
        make = root / "scripts/make_demo_data"
        make.rename(root / "scripts/full_data")
        make.write_text('#!/bin/sh\nexec "$(dirname "$0")/full_data" "$@" --rows 200 --test 40\n')
        make.chmod(0o755)
        ini = root / "configs/demo.ini"
        ini.write_text(re.sub(r"^epochs = \d+", "epochs = 1", ini.read_text(), flags=re.M))
        self.assertIn("Done. Curves: runs/demo/report.html", self.run_in(root, "scripts/demo"))
        self.assertEqual(len((root / "runs/demo/scores.csv").read_text().splitlines()), 40)


if __name__ == "__main__":
    unittest.main()
