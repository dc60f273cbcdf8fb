#!/usr/bin/env python3
"""Measures whether a start aligned by frequency learns faster than a random one, without outside data.

An invented language has requests like scripts/make_demo_data's, but more words, and a popularity for every
topic: frequencies spread over three decades. The words of an intent occur together, which is their meaning. A
small BERT learns the language as a masked language model (`train` with train.stage = pretrain; `export`).
Then the language comes back anonymised: fresh sentences, every word replaced by an id of a secret
permutation, pairs with labels. Four starts are trained on them, equal except for their weights:

  random    random weights
  shuffled  pretrained, embedding rows assigned at random: counts.json has the corpus' counts, shuffled
  aligned   pretrained, rows by frequency rank: counts.json has the corpus' counts, as in the recipe
  oracle    pretrained, every id at its true word's row: counts.json encodes the secret permutation

Writes DIR/summary.json, DIR/table.md and DIR/curves.html. The same command resumes, and more --epochs are
added. Equal arguments give equal data on any machine, and equal results with the same build.
"""
import collections
import json
import sys

from study import ROOT, Study, parser_of

sys.path.insert(0, str(ROOT / "scripts"))
from demo_language import Dice  # noqa: E402

FAMILIES, INTENTS_A_FAMILY = 24, 3
FUNCTION_WORDS, TOPIC_WORDS, ACTION_WORDS, RARE_WORDS = 60, 12, 16, 1200  # all; per family; per intent; all
MATCHES, NEAR_MISSES, RARE = 0.45, 0.22, 0.1
MIN_COUNT, VALIDATION_EVERY = 5, 3
SHAPE = {"model.layers": 2, "model.hidden": 128, "model.heads": 4, "model.max_positions": 64,
         "model.initializer_range": 0.05}
TRAINING = {"data.min_count": MIN_COUNT, "model.dropout": 0.1, "train.batch": 32, "train.precision": "fp32"}
STARTS = ("random", "shuffled", "aligned", "oracle")


class Language:
    """Words are numbers from 0. Equal seeds give equal meanings."""

    def __init__(self, seed):
        dice = Dice(seed)
        n = FUNCTION_WORDS + FAMILIES * TOPIC_WORDS + FAMILIES * INTENTS_A_FAMILY * ACTION_WORDS + RARE_WORDS
        self.vocabulary, words = n, iter(dice.shuffled(range(n)))

        def take(n):
            return [next(words) for _ in range(n)]

        self.function, self.rare = take(FUNCTION_WORDS), take(RARE_WORDS)
        self.topics = [take(TOPIC_WORDS) for _ in range(FAMILIES)]
        self.actions = [take(ACTION_WORDS) for _ in range(FAMILIES * INTENTS_A_FAMILY)]

    def sentence(self, dice, intent, keep=()):
        words = dice.some(self.actions[intent], dice.between(2, 3))
        words += keep or (
            dice.some(self.topics[intent // INTENTS_A_FAMILY], dice.between(1, 2))
            + dice.some(self.function, dice.between(1, 4))
        )
        return dice.shuffled(words + ([dice.zipf(self.rare)] if dice.chance(RARE) else []))

    def intent(self, dice):
        """Families and the intents of each have a popularity by Zipf's law."""
        return dice.zipf(range(FAMILIES)) * INTENTS_A_FAMILY + dice.zipf(range(INTENTS_A_FAMILY))

    def neighbours(self, dice):
        """Two consecutive sentences of a text, of the same intent or not."""
        intent = self.intent(dice)
        other = intent if dice.chance(0.5) else self.intent(dice)
        return self.sentence(dice, intent), self.sentence(dice, other)

    def pair(self, dice):
        """Two requests and whether they match. Near misses copy all words except those of the action."""
        intent, kind = self.intent(dice), dice.random()
        a = self.sentence(dice, intent)
        if kind < MATCHES:
            return a, self.sentence(dice, intent), 1
        if kind < MATCHES + NEAR_MISSES:
            family, place = divmod(intent, INTENTS_A_FAMILY)
            place = (place + 1 + dice.below(INTENTS_A_FAMILY - 1)) % INTENTS_A_FAMILY
            kept = [w for w in a if w not in self.actions[intent]]
            return a, self.sentence(dice, family * INTENTS_A_FAMILY + place, kept), 0
        while (other := self.intent(dice)) == intent:
            pass
        return a, self.sentence(dice, other), 0


def ranked(rows):
    """[(word, count)] by falling count, equal counts by first appearance: the order in which `train` numbers
    ids."""
    counts = collections.Counter(w for a, b, *_ in rows for w in a + b)
    return sorted(counts.items(), key=lambda item: -item[1])


def tokens_in(rows):
    return sum(len(a) + len(b) for a, b, *_ in rows)


class AlignmentStudy(Study):
    def write_pairs(self, name, rows, id_of):
        lines = ("\t".join([*(" ".join(str(id_of[w]) for w in words) for words in (a, b)), *map(str, label)])
                 for a, b, *label in rows)
        (self.dir / name).write_text("".join(line + "\n" for line in lines))

    def pretrain(self):
        """The language's BERT, in DIR/plain."""
        a, dice = self.arguments, Dice(2)
        self.language = Language(1)
        self.corpus = [self.language.neighbours(dice) for _ in range(a.counted)]
        self.write_pairs("corpus.tsv", self.corpus[: a.corpus], range(self.language.vocabulary))
        epochs = self.train("pretraining", {
            **TRAINING, **SHAPE, "data.train": self.dir / "corpus.tsv", "train.stage": "pretrain",
            "train.lr": 1e-3, "train.epochs": a.pretraining_epochs})
        for e in epochs:
            print(f"pretraining epoch {e['epoch']}: masked-token loss {e['loss_mlm']:.3f}", flush=True)
        if not (self.dir / "plain/model.safetensors").exists():
            self.program("export", "--run", self.dir / "pretraining", "--output", self.dir / "plain")
        return epochs

    def anonymise(self):
        """Labelled pairs of fresh sentences under a secret permutation, and the counts.json of each start.
        Returns the quality of the alignment by frequency."""
        a, dice, pair = self.arguments, Dice(3), self.language.pair
        rows = [pair(dice) for _ in range(a.rows)] + [pair(dice)[:2] for _ in range(a.unlabelled)]
        self.write_pairs("train.tsv", rows, dice.shuffled(range(10000, 10000 + self.language.vocabulary)))

        counts = dict(ranked(self.corpus))
        plain = [word for word, count in ranked(self.corpus[: a.corpus]) if count >= MIN_COUNT]
        plain.sort(key=lambda word: -counts[word])  # train's ranking
        target = [(word, count) for word, count in ranked(rows) if count >= MIN_COUNT]
        rank_of = {word: rank for rank, word in enumerate(plain)}
        frequent = {word for word, _ in target}
        spare = iter(word for word in plain if word not in frequent)
        oracle = [word if word in rank_of else next(spare) for word, _ in target]
        for name, table in {
            "aligned": {word: counts[word] for word in plain},
            "shuffled": dict(zip(dice.shuffled(plain), (counts[word] for word in plain))),
            "oracle": {word: len(oracle) - rank for rank, word in enumerate(oracle)},
        }.items():
            (self.dir / f"{name}.json").write_text(json.dumps({str(word): n for word, n in table.items()}))

        groups = [self.language.function, *self.language.topics, *self.language.actions]
        group = {w: i for i, words in enumerate(groups) for w in words}
        tokens = sum(count for _, count in target)
        exact = [count for rank, (word, count) in enumerate(target) if plain[rank] == word]
        off = sorted(abs(rank - rank_of[word]) for rank, (word, _) in enumerate(target) if word in rank_of)
        alike = sum(n for r, (w, n) in enumerate(target) if w in group and group[w] == group.get(plain[r]))
        wrong = [rank for rank, (word, _) in enumerate(target) if plain[rank] != word]
        return {
            "matches": sum(row[2] for row in rows[: a.rows]) / a.rows,
            "tokens_a_pair": tokens_in(rows) / len(rows),
            "tokens_counted": tokens_in(self.corpus),
            "plain_vocabulary": len(plain),
            "vocabulary": len(target),
            "unknown_to_the_corpus": sum(word not in rank_of for word, _ in target),
            "exact_words": len(exact),
            "exact_tokens": sum(exact) / tokens,
            "same_group_tokens": alike / tokens,
            "median_rank_error": off[len(off) // 2],
            "first_wrong_rank": 1 + min(wrong, default=len(target)),
        }

    def start(self, start_and_seed):
        start, seed = start_and_seed
        pretrained = {"model.weights": self.dir / "plain/model.safetensors",
                      "data.vocab": self.dir / "plain/vocab.txt", "data.counts": self.dir / f"{start}.json"}
        a, options = self.arguments, SHAPE if start == "random" else pretrained
        epochs = self.train(f"{start}-{seed}", {
            **TRAINING, **options, "data.train": self.dir / "train.tsv",
            "data.validation_every": VALIDATION_EVERY, "train.epochs": a.epochs, "train.lr": a.lr,
            "train.seed": seed})
        print(f"{start}, seed {seed}: AUC " + " ".join(f"{e['auc']:.3f}" for e in epochs), flush=True)
        return {"start": start, "seed": seed, "epochs": epochs}

    def run(self):
        a, pretraining, facts = self.arguments, self.pretrain(), self.anonymise()
        print(json.dumps(facts), flush=True)
        runs = self.each(self.start, [(start, seed) for seed in a.seeds for start in STARTS])
        summary = {"arguments": {k: str(v) for k, v in vars(a).items()}, "facts": facts,
                   "pretraining": pretraining, "runs": runs}
        (self.dir / "summary.json").write_text(json.dumps(summary, indent=1))
        (self.dir / "table.md").write_text(table(runs))
        names = [word for r in runs for word in ("--run", self.dir / f"{r['start']}-{r['seed']}")]
        self.program("report", *names, "--output", self.dir / "curves.html")
        print(f"\n{table(runs)}\n{self.dir}: summary.json, table.md, curves.html")


def table(runs):
    """Means over the seeds by epoch, and half the largest difference between seeds."""
    text = ""
    titles = {"auc": "AUC", "loss_mlm": "Loss of masked tokens", "loss_cls": "Loss of [CLS]"}
    for key, title in titles.items():
        head = [f"{title} after epoch", *(str(i + 1) for i in range(len(runs[0]["epochs"]))), "seeds ±"]
        text += "| " + " | ".join(head) + " |\n|" + "---|" * len(head) + "\n"
        for start in STARTS:
            epochs = list(zip(*([e[key] for e in r["epochs"]] for r in runs if r["start"] == start)))
            cells = [*(sum(seeds) / len(seeds) for seeds in epochs), max(max(s) - min(s) for s in epochs) / 2]
            text += f"| {start} | " + " | ".join(f"{x:.3f}" for x in cells) + " |\n"
        text += "\n"
    return text


def main():
    parser = parser_of(__doc__)
    option = parser.add_argument
    option("--corpus", type=int, default=12000, help="sentence pairs that pretrain (default 12000)")
    option("--counted", type=int, default=60000, help="sentence pairs that are counted (default 60000)")
    option("--pretraining-epochs", type=int, default=10, metavar="N", help="default 10")
    option("--rows", type=int, default=3600, help="anonymised pairs, a third for validation (default 3600)")
    option("--unlabelled", type=int, default=900, help="more pairs without label (default 900)")
    option("--epochs", type=int, default=5, help="of each start (default 5)")
    option("--lr", type=float, default=5e-4, help="of each start (default 5e-4)")
    option("--seeds", type=int, nargs="+", default=[1, 2], help="default 1 2")
    AlignmentStudy(parser.parse_args()).run()


if __name__ == "__main__":
    main()
