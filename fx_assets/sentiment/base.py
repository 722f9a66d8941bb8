"""What every scorer of headlines is: a name, a version and a score. The scorers have modules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

LABELS: tuple[str, ...] = ("negative", "neutral", "positive")
# Scores within it are neutral: the band that VADER's authors recommend.
NEUTRAL_BAND = 0.05
# Rises with every change of the lexicon's rules that may change a score.
RULES = 2
# What finbert and fingpt load where no model is named.
DEFAULT_MODELS = {"finbert": "ProsusAI/finbert", "fingpt": "FinGPT/fingpt-mt_llama2-7b_lora"}


class Scorer(Protocol):
    """Gives every headline a tone between -1 (bad news) and 1 (good news)."""

    @property
    def name(self) -> str:
        """What really scores: lexicon, vader, linear, finbert or fingpt."""
        ...

    @property
    def version(self) -> str:
        """The name and the content hash of vocabulary or model: another version may give another score."""
        ...

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n,) in [-1, 1]; 0 for an empty or missing text."""
        ...

    def classify(self, texts: Sequence[str], entities: Sequence[str] | None = None) -> np.ndarray:
        """int8 (n,): -1, 0 or 1 for negative, neutral, positive; for what is said of the entity where one is given."""
        ...


def banded(scores: np.ndarray, band: float = NEUTRAL_BAND) -> np.ndarray:
    """Scores as classes -1, 0, 1 (int8): neutral from -band to band."""
    return (np.asarray(scores) > band).astype(np.int8) - (np.asarray(scores) < -band).astype(np.int8)


def is_text(value: Any) -> bool:
    """Whether there is anything to score."""
    return isinstance(value, str) and bool(value.strip())
