"""Every launcher and op has the files that CONTRIBUTING.md demands, Python has the width it allows, and
docs/tour.md quotes real code."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve().parent


def read(*patterns):
    files = [f for pattern in patterns for f in sorted(ROOT.glob(pattern))]
    return "\n".join(f.read_text() for f in files)


def one_line(code):
    """Code without comments and line breaks, so that formatting does not matter."""
    return re.sub(r"\s+", "", re.sub(r"//[^\n]*", "", code))


def launchers():
    return re.findall(r"^\w+ (\w+)\(Stream", read("kernels/kernels.h"), re.M)


def ops():
    return re.findall(r"^(?:Tensor|float\*) (\w+)\(Tape&", read("engine/ops.h"), re.M)


def excerpts(page):
    """(file, function, code) of the C++ blocks of docs/tour.md; a block may quote several functions."""
    for block in re.findall(r"^```cpp\n(.*?)^```", page, re.M | re.S):
        for heading, code in re.findall(r"^// (\S+\.(?:h|cpp|cu)\b.*)\n((?:(?!// \S+\.(?:h|cpp|cu)\b).*\n)+)",
                                        block, re.M):
            for piece in code.split("…\n"):
                if piece.strip():
                    yield heading.split(",")[0], piece


def python_files():
    """Files *.py, and scripts of Python without a suffix. Skips build/, runs/ and hidden folders."""
    for path in sorted(ROOT.rglob("*")):
        folders = path.relative_to(ROOT).parts[:-1]
        if any(name in ("build", "runs") or name.startswith(".") for name in folders) or not path.is_file():
            continue
        if path.suffix == ".py" or not path.suffix and re.match(rb"#!.*python", path.read_bytes()):
            yield path


class Contributing(unittest.TestCase):
    def test_launchers_have_test_and_benchmark(self):
        self.assertGreater(len(launchers()), 20)
        for place in ("tests/kernels/*", "bench/kernel_cases.cpp"):
            text = read(place)
            absent = [f for f in launchers() if not re.search(rf"kernels::{f}\b", text)]
            self.assertEqual(absent, [], place)

    def test_kernel_files_have_a_page_that_links_them(self):
        pages = read("docs/kernels/*.md")
        self.assertEqual([f.name for f in ROOT.glob("kernels/*.cu") if f"kernels/{f.name})" not in pages], [])

    def test_launchers_take_six_parameters_at_most(self):
        for name, parameters in re.findall(r"^\w+ (\w+)\((Stream[^;]*)\);", read("kernels/kernels.h"), re.M):
            self.assertLessEqual(len(re.sub(r"<[^>]*>", "", parameters).split(",")), 6, name)

    def test_ops_have_a_gradient_check_and_their_kernels(self):
        self.assertGreater(len(ops()), 8)
        checks = read("tests/engine/ops_test.cpp")
        self.assertEqual([op for op in ops() if not re.search(rf"\b{op}\(", checks)], [])

    def test_python_has_110_columns_at_most(self):
        """The limit of CONTRIBUTING.md for code and comments."""
        files = list(python_files())
        self.assertIn(ROOT / "scripts/kfold", files)  # without a suffix
        self.assertGreater(len(files), 60)
        wide = [f"{path.relative_to(ROOT)}:{number}: {len(line)} columns" for path in files
                for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1)
                if len(line) > 110]
        self.assertEqual(wide, [])

    def test_the_tour_quotes_real_code(self):
        found = list(excerpts(read("docs/tour.md")))
        self.assertGreater(len(found), 20)
        for file, code in found:
            self.assertIn(one_line(code), one_line((ROOT / file).read_text()), f"{file}:\n{code}")


if __name__ == "__main__":
    unittest.main()
