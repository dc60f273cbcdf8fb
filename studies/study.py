"""What all studies share: a command line, and runs of our programs in the study's folder."""
import argparse
import json
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent


def parser_of(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("directory", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/cpu/bin", metavar="DIR",
                        help="our programs (default build/cpu/bin)")
    parser.add_argument("--threads", type=int, default=0, help="of a run (default 0: one a processor)")
    parser.add_argument("--jobs", type=int, default=1, help="concurrent runs (default 1)")
    return parser


class Study:
    def __init__(self, arguments):
        self.arguments, self.dir, self.bin = arguments, arguments.directory.resolve(), arguments.bin.resolve()
        self.dir.mkdir(parents=True, exist_ok=True)

    def program(self, name, *args):
        """Its standard output."""
        command = [str(self.bin / name), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def train(self, run, options):
        """The epoch lines of the run's metrics.jsonl. An existing run resumes, a finished one stays as it
        is."""
        options = {**options, "run.directory": self.dir / run, "run.threads": self.arguments.threads,
                   "run.checkpoint_minutes": 0}
        sections = {}
        for key, value in options.items():
            section, key = key.split(".")
            sections.setdefault(section, []).append(f"{key} = {value}\n")
        ini = self.dir / f"{run}.ini"
        ini.write_text("".join(f"[{name}]\n{''.join(lines)}\n" for name, lines in sections.items()))
        self.program("train", "--config", ini)
        records = [json.loads(line) for line in (self.dir / run / "metrics.jsonl").read_text().splitlines()]
        return [record for record in records if record["kind"] == "epoch"]

    def each(self, function, items):
        with ThreadPoolExecutor(self.arguments.jobs) as pool:
            return list(pool.map(function, items))
