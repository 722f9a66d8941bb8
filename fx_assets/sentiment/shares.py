"""From the shares of three classes to scores and classes: what every transformer has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from fx_assets.sentiment.base import is_text


class SharesScorer(ABC):
    """P(positive) - P(negative) of a model that gives each text three shares."""

    @abstractmethod
    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n, 3): negative, neutral, positive; each row sums to 1 unless the model has further classes."""

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n,) in [-1, 1]; 0 for an empty or missing text."""
        scores = np.zeros(len(texts))
        rows = [i for i, text in enumerate(texts) if is_text(text)]
        if rows:
            shares = self.probabilities([texts[i] for i in rows])
            scores[rows] = shares[:, 2] - shares[:, 0]
        return scores

    def classify(self, texts: Sequence[str], entities: Sequence[str] | None = None) -> np.ndarray:
        """int8 (n,): the likeliest class of the whole text, whatever the entity; 0 for an empty one."""
        classes = np.zeros(len(texts), dtype=np.int8)
        rows = [i for i, text in enumerate(texts) if is_text(text)]
        if rows:
            classes[rows] = self.probabilities([texts[i] for i in rows]).argmax(axis=1) - 1
        return classes
