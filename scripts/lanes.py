"""gdb commands for the simulator (simt/README.md): `lanes EXPR`, `fragment A|B|C EXPR`, `waits`. Loaded by
scripts/debug.

A CUDA thread that waits keeps its frames on its own stack. Its registers are where Boost.Context saved them.
"""
import struct

import gdb  # only inside of gdb

# jump_fcontext of Boost.Context, System V x86-64: words from the saved stack pointer on.
SAVED = {"r12": 1, "r13": 2, "r14": 3, "r15": 4, "rbx": 5, "rbp": 6, "rip": 7}
SAVED_BYTES = 64


def number(expression):
    return int(gdb.parse_and_eval(expression))


def in_kernel():
    try:
        return number("simt::block != 0 && simt::block->grid != 0")
    except gdb.error:
        return False


def state(thread):
    """"running", "waiting" (its frames can be read), "not started" or "returned"."""
    if thread == number("simt::current"):
        return "running"
    warp, bit = f"simt::block->warp[{thread // 32}]", thread % 32
    sets = {name: number(f"{warp}.{name}") >> bit & 1
            for name in ("exists", "fresh", "ready", "arrived", "blocked")}
    if not sets["exists"]:
        return "does not exist"
    if sets["fresh"]:  # threads that ran to their end on one stack leave the set later
        current, first = number("simt::current"), number("simt::block->run_start_")
        return "returned" if first <= thread < current and thread // 32 == current // 32 else "not started"
    return "waiting" if sets["ready"] or sets["arrived"] or sets["blocked"] else "returned"


class Registers:
    """Makes a waiting thread's frames gdb's, until the end of the `with` block."""

    def __init__(self, thread):
        word = gdb.lookup_type("unsigned long")
        context = gdb.parse_and_eval(f"simt::block->thread[{thread}].fiber->context")
        words = context.cast(word.pointer())
        self.new = {name: int((words + i).dereference()) for name, i in SAVED.items()}
        self.new["rsp"] = int(context.cast(word)) + SAVED_BYTES

    def __enter__(self):
        gdb.newest_frame().select()
        self.old = {name: number(f"(unsigned long)${name}") for name in self.new}
        self.set(self.new)

    def __exit__(self, *_):
        gdb.newest_frame().select()
        self.set(self.old)

    def set(self, values):
        for name, value in values.items():
            gdb.execute(f"set ${name} = {value}")


def frame_of(function):
    frame = gdb.newest_frame()
    while frame and frame.name() != function:
        frame = frame.older()
    return frame


def look(function, expression):
    """Value and line of the innermost frame of `function`, or why there is none."""
    frame = frame_of(function)
    if not frame:
        return "not in this function", None
    frame.select()
    return evaluate(expression), frame.find_sal().line


def evaluate(expression):
    try:
        value = gdb.parse_and_eval(expression)
        value.fetch_lazy()
        return value
    except gdb.error as error:
        return f"<{error}>"


def in_each_lane(expression):
    """(thread, value or text, line or None) of each lane of the current warp, in the selected function."""
    if not in_kernel():
        raise gdb.GdbError("no kernel is running here; set a breakpoint in one")
    if "x86-64" not in gdb.selected_frame().architecture().name():
        raise gdb.GdbError("lanes of a warp can be read on x86-64 only")
    try:
        gdb.parse_and_eval(expression)
    except gdb.error as error:
        raise gdb.GdbError(str(error))
    level, function = gdb.selected_frame().level(), gdb.selected_frame().name()
    here = number("simt::current")
    found = []
    for thread in range(here // 32 * 32, here // 32 * 32 + 32):
        where = state(thread)
        if where == "does not exist":
            continue
        if where == "running":
            gdb.execute(f"frame level {level}", to_string=True)
            found.append((thread, evaluate(expression), gdb.selected_frame().find_sal().line))
        elif where == "waiting":
            with Registers(thread):
                found.append((thread, *look(function, expression)))
        else:
            found.append((thread, where, None))
    gdb.execute(f"frame level {level}", to_string=True)
    return found


class Lanes(gdb.Command):
    """lanes EXPR: the value of EXPR in each lane of the current warp, in the selected function's frame."""

    def __init__(self):
        super().__init__("lanes", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, expression, _tty):
        if not expression:
            raise gdb.GdbError("lanes EXPR: an expression is missing")
        found = in_each_lane(expression)
        here = number("simt::current")
        print(f"{expression} in {gdb.selected_frame().name()}, warp {here // 32}")
        for thread, value, line in found:
            mark = "*" if thread == here else " "
            print(f"{mark} lane {thread % 32:2}, thread {thread:4}: {value}"
                  + (f"  (line {line})" if line else ""))


def pair(register):
    """The two bf16 of a register, as floats."""
    return [struct.unpack("<f", struct.pack("<I", half << 16))[0]
            for half in (register & 0xffff, register >> 16)]


# (row, column, value) of each element that lane 4g + t holds of an operand of mma.m16n8k16, as in
# simt/cpu/mma.cpp. Four registers of B are two matrices side by side, as ldmatrix_x4 loads them.
def elements(operand, g, t, registers):
    for r, register in enumerate(registers):
        if operand == "C":
            yield g + r // 2 * 8, 2 * t + r % 2, float(register)
            continue
        for i, x in enumerate(pair(int(register))):
            if operand == "A":
                yield g + r % 2 * 8, 2 * t + r // 2 * 8 + i, x
            else:
                yield 2 * t + r % 2 * 8 + i, g + r // 2 * 8, x


# {operand: {(type of a register, registers): columns}}; rows are 16.
FRAGMENTS = {"A": {("unsigned int", 4): 16}, "B": {("unsigned int", 2): 8, ("unsigned int", 4): 16},
             "C": {("float", 4): 8}}


class Fragment(gdb.Command):
    """fragment A|B|C EXPR: the operand of mma.m16n8k16 whose registers are EXPR, put together from all lanes.

    A: uint32_t[4]. B: uint32_t[2], or [4] for two side by side. C, also for D: float[4]. A lane that is not
    in the selected function has `?`."""

    def __init__(self):
        super().__init__("fragment", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _tty):
        operand, _, expression = argument.strip().partition(" ")
        if operand not in FRAGMENTS or not expression:
            raise gdb.GdbError("usage: fragment A|B|C EXPR")
        found = in_each_lane(expression)
        kind = plain(gdb.parse_and_eval(expression).type)
        registers = range(kind.range()[1] + 1 if kind.code == gdb.TYPE_CODE_ARRAY else 0)
        columns = registers and FRAGMENTS[operand].get((plain(kind.target()).name, len(registers)))
        if not columns:
            raise gdb.GdbError(f"{expression} is no {operand}, of which a lane has " + " or ".join(
                f"{name}[{n}]" for name, n in FRAGMENTS[operand]))
        matrix = [["?"] * columns for _ in range(16)]
        for thread, value, _ in found:
            if not isinstance(value, str):
                for row, column, x in elements(operand, thread % 32 // 4, thread % 4,
                                               [value[r] for r in registers]):
                    matrix[row][column] = f"{x:.4g}"
        print(f"{expression} in {gdb.selected_frame().name()}, warp {number('simt::current') // 32}: "
              f"{operand}, 16 x {columns}")
        for index, row in enumerate(matrix):
            print(f"row {index:2}:" + "".join(f" {x:>10}" for x in row))


def plain(kind):
    """A type without const, typedef and reference."""
    kind = kind.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        kind = kind.target().strip_typedefs()
    return kind.unqualified()


class Waits(gdb.Command):
    """waits: where every thread of the current block waits."""

    def __init__(self):
        super().__init__("waits", gdb.COMMAND_STATUS)

    def invoke(self, _arguments, _tty):
        if not in_kernel():
            raise gdb.GdbError("no kernel is running here; set a breakpoint in one")
        threads = number("(int)blockDim.x * blockDim.y * blockDim.z")
        runs = []
        for thread in range(threads):
            text = self.describe(thread)
            if runs and runs[-1][2] == text:
                runs[-1][1] = thread
            else:
                runs.append([thread, thread, text])
        for first, last, text in runs:
            print(f"thread {first}: {text}" if first == last else f"threads {first} to {last}: {text}")

    def describe(self, thread):
        where = state(thread)
        if where != "waiting":
            return "this thread" if where == "running" else where
        warp, lane = f"simt::block->warp[{thread // 32}]", thread % 32
        if number(f"{warp}.ready") >> lane & 1:
            return "ready to run"
        text = {name: gdb.parse_and_eval(f"{warp}.{name}[{lane}]").string() for name in ("what", "file")}
        mask = f", mask {number(f'{warp}.mask[{lane}]'):08x}" if number(f"{warp}.arrived") >> lane & 1 else ""
        file, line = text["file"].removeprefix("../../"), number(f"{warp}.line[{lane}]")
        return f"wait at {text['what']}, {file}:{line}{mask}"


Lanes()
Fragment()
Waits()
