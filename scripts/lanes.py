"""gdb commands for the simulator (simt/README.md): `lanes EXPR`, `waits`. Loaded by scripts/debug.

A CUDA thread that waits keeps its frames on its own stack. Its registers are where Boost.Context saved them.
"""
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
    sets = {name: number(f"{warp}.{name}") >> bit & 1 for name in ("exists", "fresh", "ready", "arrived", "blocked")}
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
    try:
        return str(gdb.parse_and_eval(expression)), frame.find_sal().line
    except gdb.error as error:
        return f"<{error}>", frame.find_sal().line


class Lanes(gdb.Command):
    """lanes EXPR: the value of EXPR in each lane of the current warp, in the frame of the selected function."""

    def __init__(self):
        super().__init__("lanes", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, expression, _tty):
        if not expression:
            raise gdb.GdbError("lanes EXPR: an expression is missing")
        if not in_kernel():
            raise gdb.GdbError("no kernel is running here; set a breakpoint in one")
        if "x86-64" not in gdb.selected_frame().architecture().name():
            raise gdb.GdbError("lanes needs x86-64")
        level, function = gdb.selected_frame().level(), gdb.selected_frame().name()
        here = number("simt::current")
        found = []
        for thread in range(here // 32 * 32, here // 32 * 32 + 32):
            where = state(thread)
            if where == "does not exist":
                continue
            if where == "running":
                gdb.execute(f"frame level {level}", to_string=True)
                found.append((thread, str(gdb.parse_and_eval(expression)), gdb.selected_frame().find_sal().line))
            elif where == "waiting":
                with Registers(thread):
                    found.append((thread, *look(function, expression)))
            else:
                found.append((thread, where, None))
        gdb.execute(f"frame level {level}", to_string=True)
        print(f"{expression} in {function}, warp {here // 32}")
        for thread, value, line in found:
            mark = "*" if thread == here else " "
            print(f"{mark} lane {thread % 32:2}, thread {thread:4}: {value}" + (f"  (line {line})" if line else ""))


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
        return f"wait at {text['what']}, {text['file'].removeprefix('../../')}:{number(f'{warp}.line[{lane}]')}{mask}"


Lanes()
Waits()
