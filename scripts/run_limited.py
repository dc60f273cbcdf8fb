"""Commands that may hang, or start others that do."""
import os
import signal
import subprocess
import time


def run_limited(command, limit, **options):
    """Runs the command for at most `limit` seconds. Its exit code, None if the limit ended it; and its output, as
    `options` of subprocess.Popen say. What it started is ended with it: the command is the first of a group of its own.
    So it is if this program is to end, by Ctrl-C or (end_children_on_signals) by SIGTERM or a closed terminal."""
    process = subprocess.Popen(command, start_new_session=True, text=True, errors="replace", **options)
    try:
        output = process.communicate(timeout=limit)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        end_group(process)
        try:
            return None, process.communicate(timeout=10)
        except subprocess.TimeoutExpired:  # blocked in a driver, or left the group and keeps the pipe open
            return None, ("", "")
    except BaseException:
        end_group(process)
        raise


def end_group(process, patience=5):
    """SIGTERM first: a command may have groups of its own to end."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while number == signal.SIGTERM and process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)


def end_children_on_signals():
    def end(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # ignored under nohup
            signal.signal(number, end)
