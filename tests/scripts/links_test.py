"""Every relative link of every page leads to a file, and its anchor to a heading.

links_test.py SCRIPTS_DIR [unittest arguments]
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve().parent
SKIPPED = {"build", "runs", ".git"}


def pages():
    return [p for p in sorted(ROOT.rglob("*.md")) if not SKIPPED & set(p.relative_to(ROOT).parts)]


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(page):
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text()), re.M)
    texts = [re.sub(r"[`*]|\[|\]\([^)]*\)", "", heading).strip().lower() for heading in headings]
    names = [re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts]
    return {name if names[:i].count(name) == 0 else f"{name}-{names[:i].count(name)}"
            for i, name in enumerate(names)}


def broken(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: no file {target}"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{page.relative_to(ROOT)}: no heading {target}"


class Links(unittest.TestCase):
    def test_every_link_resolves(self):
        self.assertGreater(len(pages()), 30)
        self.assertEqual([fault for page in pages() for fault in broken(page)], [])

    def test_files_named_in_the_rooms_and_rules_exist(self):
        """Paths in code quotes that begin with a folder of the project, as `engine/ops.cpp`."""
        folders = "simt|kernels|engine|model|io|train|tests|bench|scripts|cmake|configs|docs|examples"
        path = rf"`((?:{folders})/[\w/.-]+\.(?:h|cpp|cu|cuh|py|ini|cmake|md))`"
        example = {"kernels/tanh.cu", "tests/kernels/tanh_test.cpp", "docs/kernels/tanh.md"}  # of a new op
        for page in [ROOT / p for p in ("README.md", "CONTRIBUTING.md", "docs/architecture.md",
                                        "docs/unorthodox.md", "docs/tour.md")]:
            for name in sorted(set(re.findall(path, page.read_text())) - example):
                self.assertTrue((ROOT / name).exists(), f"{page.name}: {name}")


if __name__ == "__main__":
    unittest.main()
