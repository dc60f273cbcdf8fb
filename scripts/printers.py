"""gdb printers: bf16 as a float; View and Tensor by dtype, shape and first values.

Loaded by scripts/debug, and by `gdb -x scripts/printers.py PROGRAM`.
"""
import struct

import gdb  # only inside of gdb
import gdb.printing

FIRST_VALUES = 8


def float_of(bits):
    """The bf16 with these 16 bits, as gdb prints a float."""
    return f"{struct.unpack('<f', struct.pack('<I', bits << 16))[0]:.9g}"


def describe(view):
    """bf16 [20 of 32, 768], ld 2304: {0.5, -1.25, ...}"""
    dtype = str(view["dtype"]).rsplit("::", 1)[-1]
    capacity, cols, ld = int(view["rows"]["capacity"]), int(view["cols"]), int(view["ld"])
    text = f"{dtype} [{rows(view['rows'])}, {cols}]" + (f", ld {ld}" if ld != cols else "")
    if not int(view["data"]):
        return f"{text}: null"
    element = gdb.lookup_type("unsigned short" if dtype == "bf16" else "float").pointer()
    data = view["data"].cast(element)
    shown = min(FIRST_VALUES, cols if capacity > 1 else capacity * cols)
    try:
        values = [float_of(int(data[i])) if dtype == "bf16" else str(data[i]) for i in range(shown)]
    except gdb.MemoryError:
        return f"{text}: unreadable at {int(view['data']):#x}"
    return f"{text}: {{{', '.join(values)}{', ...' if shown < capacity * cols else ''}}}"


def rows(value):
    """"20 of 32": count and capacity; "32" where all rows are real."""
    capacity = int(value["capacity"])
    if not int(value["count"]):
        return str(capacity)
    try:
        return f"{int(value['count'].dereference())} of {capacity}"
    except gdb.MemoryError:
        return f"? of {capacity}"


class Bf16:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return float_of(int(self.value["bits"]))


class View:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return describe(self.value)


class Tensor:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        if not int(self.value["t_"]):
            return "no tensor"
        data = self.value["t_"].dereference()
        gradient = f"; gradient {describe(data['grad'])}" if data["grad_written"] else ""
        return f'"{data["name"].string()}" {describe(data["value"])}{gradient}'


printers = gdb.printing.RegexpCollectionPrettyPrinter("warpbert")
printers.add_printer("bf16", "^warpbert::bf16$", Bf16)
printers.add_printer("View", "^warpbert::kernels::View$", View)
printers.add_printer("Tensor", "^warpbert::Tensor$", Tensor)
gdb.printing.register_pretty_printer(None, printers, replace=True)
