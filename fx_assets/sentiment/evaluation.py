"""How well classes of headlines are told: accuracy with its interval, F1 and confusion, beside plain VADER."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.sentiment.base import LABELS, NEUTRAL_BAND, Scorer
from fx_assets.sentiment.labelled import Labelled

RESAMPLES = 2000
SEED = 7
# Seconds of processor time that a speed is measured over, and of a first pass that start-up does not blur.
TIMED = 0.2
LONG = 2.0
MAX_PASSES = 100_000


@dataclass(frozen=True)
class Quality:
    """confusion[i][j]: how many of class i were called j, in the order of LABELS. Shares in [0, 1]."""

    n: int
    accuracy: float
    macro_f1: float
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]

    def as_dict(self) -> dict[str, Any]:
        """The same with names, for JSON."""
        classes = {
            name: {"precision": p, "recall": r, "f1": f}
            for name, p, r, f in zip(LABELS, self.precision, self.recall, self.f1, strict=True)
        }
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "classes": classes,
            "confusion": [list(row) for row in self.confusion],
        }


def quality(labels: Any, predicted: Any) -> Quality:
    """labels, predicted: -1, 0, 1, (n,). A class that neither holds is left out of the mean F1."""
    labels, predicted = np.asarray(labels, dtype=int), np.asarray(predicted, dtype=int)
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (labels + 1, predicted + 1), 1)
    hits, true, called = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    precision = hits / np.maximum(called, 1)
    recall = hits / np.maximum(true, 1)
    f1 = 2 * hits / np.maximum(true + called, 1)
    there = true + called > 0
    return Quality(
        len(labels),
        float(hits.sum() / max(len(labels), 1)),
        float(f1[there].mean()) if there.any() else 0.0,
        tuple(precision.tolist()),
        tuple(recall.tolist()),
        tuple(f1.tolist()),
        tuple(tuple(row) for row in table.tolist()),
    )


def accuracy_interval(texts: list[str], right: Any) -> tuple[float, float]:
    """95 % bootstrap interval of the share that is right. Texts are drawn, with all their rows: those are not
    independent. Seeded: the same input gives the same interval.
    """
    _, owner = np.unique(np.array(texts, dtype=object), return_inverse=True)
    hits = np.bincount(owner, weights=np.asarray(right, dtype=float))
    rows = np.bincount(owner).astype(float)
    generator = np.random.default_rng(SEED)
    shares = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        drawn = generator.integers(0, len(rows), len(rows))
        shares[i] = hits[drawn].sum() / rows[drawn].sum()
    low, high = np.quantile(shares, (0.025, 0.975)).tolist()
    return low, high


def evaluate(scorer: Scorer, data: Labelled) -> dict[str, Any]:
    """A scorer's quality on labelled texts, and plain VADER's accuracy on the same rows; fit for JSON.

    headlines_per_second counts processor time of this process once the scorer has read its words: the texts are scored
    again until TIMED seconds are measured. A first pass that is long is counted itself.
    """
    from fx_assets.sentiment.lexicon import plain_vader

    began, started = time.monotonic(), time.process_time()
    predicted = scorer.classify(data.texts, data.entities)
    seconds, passes = time.process_time() - started, 1
    if time.monotonic() - began < LONG:
        started, passes, seconds = time.process_time(), 0, 0.0
        while seconds < TIMED and passes < MAX_PASSES:
            scorer.classify(data.texts, data.entities)
            passes += 1
            seconds = time.process_time() - started
    found = quality(data.labels, predicted)
    labels = np.asarray(data.labels)
    low, high = accuracy_interval(data.texts, predicted == labels)
    vader = quality(labels, plain_vader().classify(data.texts))
    return {
        "file": data.source,
        "scorer": scorer.name,
        "version": scorer.version,
        **found.as_dict(),
        "accuracy_interval_95": [low, high],
        "base_rate": float(max((labels == c).mean() for c in (-1, 0, 1))),
        "texts": len(set(data.texts)),
        "skipped": data.skipped,
        "neutral_band": NEUTRAL_BAND,
        "headlines_per_second": passes * len(data.texts) / max(seconds, 1e-9),
        "vader": {"accuracy": vader.accuracy, "macro_f1": vader.macro_f1},
    }
