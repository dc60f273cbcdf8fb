"""Random draws of invented languages, and the AUC of scores."""
import collections
import random


class Dice:
    """All random draws. random.random() is the same in every version of Python."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def chance(self, p):
        return self.random() < p

    def below(self, n):
        return int(self.random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def zipf(self, items):
        """Draws one item, the r-th (from 1) with weight 1/r."""
        x = self.random() * sum(1 / r for r in range(1, len(items) + 1))
        for r, item in enumerate(items, 1):
            x -= 1 / r
            if x < 0:
                return item
        return items[-1]

    def some(self, items, n):
        """Draws n different items by Zipf's law."""
        chosen = []
        while len(chosen) < min(n, len(items)):
            item = self.zipf(items)
            if item not in chosen:
                chosen.append(item)
        return chosen


def auc(scores, labels):
    """Area under the ROC curve: P(a positive scores above a negative) + P(equal)/2. Labels of 0.5 or more are
    positive. None with only one class."""
    ranks, rank = {}, 0  # mean rank of each score
    for score, n in sorted(collections.Counter(scores).items()):
        ranks[score] = rank + (n + 1) / 2
        rank += n
    positive = [ranks[score] for score, label in zip(scores, labels, strict=True) if label >= 0.5]
    n, m = len(positive), len(scores) - len(positive)
    return (sum(positive) - n * (n + 1) / 2) / (n * m) if n and m else None
