"""Programs of this folder have no .py in their names; this is `import` for them."""
import importlib.machinery
import importlib.util
import pathlib


def load_script(name):
    loader = importlib.machinery.SourceFileLoader(name, str(pathlib.Path(__file__).resolve().parent / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module
