"""Runs programs: briefly for their output, or under a time limit."""
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def output_of(*command):
    """Standard output without surrounding space; "" if the program is missing or fails."""
    done = subprocess.run(command, text=True, capture_output=True) if shutil.which(command[0]) else None
    return done.stdout.strip() if done and not done.returncode else ""


def run_limited(command, limit):
    """(exit code or None at the limit, output). `timeout` also ends what the command has started."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(["timeout", "--kill-after=5", f"{limit:.1f}", *command], cwd=ROOT,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            code = process.wait(limit + 20)
        except subprocess.TimeoutExpired:  # blocked in a driver
            code = 124
        finally:
            process.terminate()  # `timeout` passes the signal on
        output.seek(0)
        return None if code in (124, 137) else code, output.read()


def exit_on_signals():
    """Lets SIGTERM and a closed terminal end this program through `finally` clauses, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
