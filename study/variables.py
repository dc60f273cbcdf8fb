"""gdb script of `study trace --variables`: the variables of every thread at each barrier of the traced block.

Writes JSON to $STUDY_VARIABLES: a list by barrier of {"name": [text by thread]}. A thread's frames, from the
one that calls __syncthreads to the kernel's, are on its own stack (scripts/lanes.py).
"""
import json
import os

import gdb  # only inside of gdb

LANGUAGE = "simt/"
LONGEST = 60  # characters of a value


def is_language(frame):
    symtab = frame.find_sal().symtab
    return symtab is None or f"/{LANGUAGE}" in f"/{symtab.filename}" or "/study/" in f"/{symtab.filename}"


def shown(value):
    """Text of a number, or of a few numbers; None for pointers and large objects."""
    kind = value.type.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_PTR):
        return None
    if kind.code == gdb.TYPE_CODE_FLT:
        return f"{float(value):.4g}"
    if kind.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_ARRAY):
        if kind.sizeof > 64:
            return None
        text = value.format_string(repeat_threshold=0)
        return text if len(text) <= LONGEST and "0x" not in text else None
    return str(value)


def variables():
    """{name: text} of this thread's frames, the innermost of a name first."""
    found = {}
    frame = gdb.newest_frame()
    while frame and is_language(frame):
        frame = frame.older()
    while frame and not is_language(frame):
        line, block = frame.find_sal().line, frame.block()
        while block:
            for symbol in block:
                if not (symbol.is_variable or symbol.is_argument) or symbol.name in found:
                    continue
                if symbol.is_variable and symbol.line >= line:
                    continue  # not initialised yet
                try:
                    text = shown(symbol.value(frame))
                except (gdb.error, RuntimeError):
                    continue
                if text is not None:
                    found[symbol.name] = text
            if block.function:
                break
            block = block.superblock
        frame = frame.older()
    return found


def at_barrier():
    threads, here = number("(int)blockDim.x * blockDim.y * blockDim.z"), number("simt::current")
    table = {}
    for thread in range(threads):
        if thread == here:
            found = variables()
        else:
            with Registers(thread):
                found = variables()
        for name, text in found.items():
            table.setdefault(name, [""] * threads)[thread] = text
    return table


gdb.execute("set pagination off")
gdb.Breakpoint("study_all_at_barrier", internal=True)
gdb.execute("run")
barriers = []
while gdb.selected_inferior().pid:
    barriers.append(at_barrier())
    gdb.execute("continue")
with open(os.environ["STUDY_VARIABLES"], "w") as file:
    json.dump(barriers, file)
