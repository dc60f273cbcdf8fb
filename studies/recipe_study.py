#!/usr/bin/env python3
"""Measures the effect of each option of the recipe: trains a small BERT from scratch once per option and
compares.

  studies/recipe_study.py DIR --train train.tsv [--unlabelled more.tsv] [--only base ema ...]

The first --rows labelled lines of the training file train; every tenth of them validates, which chooses the
epoch. The next --holdout lines measure every model; no run sees them. All runs are equal except for the
option: 2 layers, hidden 128, batch 32, lr 1e-3, fp32. `base` runs with three seeds, which show the size of
chance.

Writes DIR/results.json and DIR/table.md. The same command resumes. Only the time depends on the machine.
"""
import json
import pathlib
import sys

from study import Study, parser_of

SHAPE = {"model.layers": 2, "model.hidden": 128, "model.heads": 4, "model.max_positions": 64,
         "model.initializer_range": 0.05, "train.batch": 32, "train.lr": 1e-3, "train.precision": "fp32"}
LINEAR = {"train.warmup": 0.1, "train.schedule": "linear"}
NGRAM = {"mask.ngram": "0.7,0.2,0.1"}
PRETRAIN = {"train.stage": "pretrain"}
FINETUNE = {"train.stage": "finetune", "train.lr": 3e-4, "mask.probability": 0, **LINEAR}
# Options of each run. A pair of dicts is two stages; the second has half as many epochs.
ROWS = {
    "base": {},
    "base-1": {"train.seed": 1},
    "base-2": {"train.seed": 2},
    "linear": LINEAR,
    "ema": {"train.ema": 0.999},
    "ngram": NGRAM,
    "fgm": {"train.fgm": 0.5},
    "labels": {"train.stage": "finetune", "mask.probability": 0},
    "two-stage": (PRETRAIN, FINETUNE),
    "decay": {"train.weight_decay": 0.01},
    "smoothing": {"train.label_smoothing": 0.1},
    "no-swap": {"mask.swap": 0},
    "dropout": {"model.dropout": 0},
    "bf16": {"train.precision": "bf16"},
    "unlabelled": {},  # and data.test
    "all": ({**PRETRAIN, **NGRAM, **LINEAR}, {**FINETUNE, "train.ema": 0.999, "train.fgm": 0.5}),
}
# Scored with models of the rows above: runs, options.
SCORINGS = {
    "swap": (["base"], ["--predict.swap=true"]),
    "ensemble": (["base", "base-1", "base-2"], []),
    "all-swap": (["all"], ["--predict.swap=true"]),
}


class RecipeStudy(Study):
    def __init__(self, arguments):
        super().__init__(arguments)
        # Splits bytes at \n only, as `train` does: str.splitlines() would also split at other characters.
        lines = [line for line in arguments.train.read_bytes().split(b"\n") if line.count(b"\t") == 2]
        n = arguments.rows + arguments.holdout
        if len(lines) < n:
            sys.exit(f"error: {arguments.train.resolve()}: {len(lines)} labelled pairs; --rows and --holdout "
                     f"ask for {n}")
        for name, part in ("train.tsv", lines[: arguments.rows]), ("holdout.tsv", lines[arguments.rows : n]):
            (self.dir / name).write_bytes(b"\n".join(part) + b"\n")

    def evaluate(self, name, runs, options=(), seconds=None, validation=None):
        names = [word for run in runs for word in ("--run", self.dir / run)]
        pairs = ["--input", self.dir / "holdout.tsv"]
        measured = json.loads(self.program("eval", *names, *pairs, "--json", *options))
        result = {"name": name, "seconds": seconds, "validation_auc": validation, "holdout": measured}
        print(json.dumps(result), flush=True)
        return result

    def row(self, name):
        stages = ROWS[name] if isinstance(ROWS[name], tuple) else (ROWS[name],)
        epochs, weights = [], {}
        for i, options in enumerate(stages):
            folder = name if i + 1 == len(stages) else f"{name}-pretrain"
            options = {"data.train": self.dir / "train.tsv", **SHAPE, "train.seed": 0, **options, **weights,
                       "train.epochs": max(1, round(self.arguments.epochs / (1 + i)))}
            if name == "unlabelled":
                options["data.test"] = self.arguments.unlabelled.resolve()
            epochs += (last := self.train(folder, options))
            weights = {"model.weights": self.dir / folder / "best.npz"}
        auc = max((epoch["auc"] for epoch in last if epoch["auc"] is not None), default=None)
        return self.evaluate(name, [name], seconds=sum(epoch["seconds"] for epoch in epochs), validation=auc)

    def run(self):
        a = self.arguments
        names = a.only or [name for name in ROWS if name != "unlabelled" or a.unlabelled]
        results = self.each(self.row, names)
        results += [self.evaluate(name, runs, options) for name, (runs, options) in SCORINGS.items()
                    if set(runs) <= set(names)]
        (self.dir / "results.json").write_text(json.dumps(results, indent=1))
        (self.dir / "table.md").write_text(table(results))
        print(table(results))


def meaning(name):
    """The row's options, as its INI has them."""
    if name in SCORINGS:
        runs, options = SCORINGS[name]
        return f"{', '.join(runs)}: scored together, {' '.join(options) or 'no option'}"
    stages = ROWS[name] if isinstance(ROWS[name], tuple) else (ROWS[name],)
    return ", then ".join(" ".join(f"`{k} = {v}`" for k, v in options.items()) for options in stages)


def table(results):
    """Gains are over the mean of the seeds of base."""
    base = [r["holdout"]["auc"]["value"] for r in results if r["name"].startswith("base")]
    seconds = next((r["seconds"] for r in results if r["name"] == "base"), None)
    head = "| run | options | validation AUC | AUC | 95 % interval | over base | time |\n"
    text = head + "|---" * 7 + "|\n"
    for r in results:
        auc = r["holdout"]["auc"]
        cells = [r["name"], meaning(r["name"]), f"{r['validation_auc']:.4f}" if r["validation_auc"] else "",
                 f"{auc['value']:.4f}", f"{auc['low']:.4f} – {auc['high']:.4f}",
                 f"{auc['value'] - sum(base) / len(base):+.4f}" if base else "",
                 f"{r['seconds'] / seconds:.2f}" if r["seconds"] and seconds else ""]
        text += "| " + " | ".join(cells) + " |\n"
    return text


def main():
    parser = parser_of(__doc__)
    parser.add_argument("--train", type=pathlib.Path, required=True, metavar="FILE", help="labelled pairs")
    parser.add_argument("--unlabelled", type=pathlib.Path, metavar="FILE",
                        help="pairs for the row `unlabelled`")
    parser.add_argument("--rows", type=int, default=20000, help="pairs that train (default 20000)")
    parser.add_argument("--holdout", type=int, default=20000, help="pairs that measure (default 20000)")
    parser.add_argument("--epochs", type=int, default=6, help="of each run (default 6)")
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="NAME", help=f"of {', '.join(ROWS)}")
    RecipeStudy(parser.parse_args()).run()


if __name__ == "__main__":
    main()
