"""The trained scorer: weights over features of a text, its file, and scoring with it. Training is in training.py.

The file is one line `fx-sentiment-1 SHA256` and a MessagePack body of arrays and names: nothing in it is executed.
Scoring needs numpy and scipy only, and gives every text the same bits whatever else is scored with it.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fx_assets.errors import DataError
from fx_assets.sentiment.base import LABELS, is_text
from fx_assets.sentiment.marked import BLOCKS, FEATURES, features

MAGIC = b"fx-sentiment-1"
BLOCK_WEIGHTS = (1.0, 0.8, 1.5)
# Texts in memory at once while scoring.
BATCH = 2000
_LOGS = np.array([0.0, *(1.0 + math.log(count) for count in range(1, 4096))])


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a model file holds. names and scales by block; weights (features, 3) and offsets (3,) by LABELS."""

    names: list[list[str]]
    scales: list[bytes]
    weights: bytes
    offsets: bytes
    entities: bool
    built_with: str


@dataclass(frozen=True)
class LinearModel:
    """Softmax regression on scaled counts. scales: a factor (inverse document frequency) per feature of each block."""

    names: tuple[tuple[str, ...], ...]
    scales: tuple[np.ndarray, ...]
    weights: np.ndarray
    offsets: np.ndarray
    entities: bool
    built_with: str

    @cached_property
    def places(self) -> list[dict[str, int]]:
        """Column of each feature name within its block."""
        return [{name: i for i, name in enumerate(names)} for names in self.names]

    def probabilities(self, texts: Sequence[str], entities: Sequence[str | None] | None = None) -> np.ndarray:
        """float64 (n, 3): the probability of each of LABELS."""
        parts = [
            self._batch(texts[i : i + BATCH], None if entities is None else entities[i : i + BATCH])
            for i in range(0, len(texts), BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(LABELS)))

    def _batch(self, texts: Sequence[str], entities: Sequence[str | None] | None) -> np.ndarray:
        counted = [count(block, places) for block, places in zip(named(texts, entities), self.places, strict=True)]
        logits = scaled(counted, self.scales) @ self.weights + self.offsets
        return np.array([_softmax(row) for row in logits.tolist()])

    @cached_property
    def encoded(self) -> bytes:
        """The file's bytes: the same model gives the same."""
        body = msgspec.msgpack.encode(
            Body(
                [list(names) for names in self.names],
                [scale.astype("<f8").tobytes() for scale in self.scales],
                self.weights.astype("<f8").tobytes(),
                self.offsets.astype("<f8").tobytes(),
                self.entities,
                self.built_with,
            )
        )
        return MAGIC + b" " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    @property
    def digest(self) -> str:
        """SHA-256 of the file's body."""
        return self.encoded[len(MAGIC) + 1 : len(MAGIC) + 65].decode()

    def save(self, path: Path) -> None:
        """Write it under a temporary name, then rename."""
        from fx_serving.client.files import atomic_write

        atomic_write(path, self.encoded)


class LinearScorer:
    """Scores by a trained model: P(positive) - P(negative)."""

    name = "linear"

    def __init__(self, model: LinearModel):
        self.model = model
        self.version = f"linear-{model.digest[:12]}"

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n,) in [-1, 1]; 0 for an empty or missing text."""
        given = np.array([is_text(text) for text in texts], dtype=bool)
        found = self.model.probabilities([text if ok else "" for text, ok in zip(texts, given, strict=True)])
        return np.where(given, found[:, 2] - found[:, 0], 0.0)

    def classify(self, texts: Sequence[str], entities: Sequence[str] | None = None) -> np.ndarray:
        """int8 (n,): the likeliest class, of what is said about the entity if the model was trained on entities."""
        about = entities if self.model.entities else None
        return (self.model.probabilities(list(texts), about).argmax(axis=1) - 1).astype(np.int8)


def load_linear(path: Path) -> LinearScorer:
    """The scorer of a file that `fx sentiment train` wrote. DataError if it is missing, damaged or another kind."""
    remedy = "Train it again with `fx sentiment train FILE --out MODEL`."
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the sentiment model cannot be read ({error.strerror}). {remedy}") from None
    head, _, body = raw.partition(b"\n")
    magic, _, digest = head.partition(b" ")
    if magic != MAGIC:
        raise DataError(f"{path}: is no sentiment model of this version. {remedy}")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise DataError(f"{path}: the content does not fit its SHA-256: the file is damaged or cut. {remedy}")
    try:
        found = msgspec.msgpack.decode(body, type=Body)
        scales = tuple(np.frombuffer(scale, "<f8") for scale in found.scales)
        model = LinearModel(
            tuple(tuple(names) for names in found.names),
            scales,
            np.frombuffer(found.weights, "<f8").reshape(-1, len(LABELS)),
            np.frombuffer(found.offsets, "<f8"),
            found.entities,
            found.built_with,
        )
        sizes = [len(names) for names in model.names]
        sound = len(sizes) == len(BLOCKS) and sizes == [len(s) for s in scales] and sum(sizes) == len(model.weights)
        sound = sound and len(model.offsets) == len(LABELS) and bool(np.isfinite(model.weights).all())
    except ValueError:
        sound, model = False, None
    if not sound or model is None:
        raise DataError(f"{path}: the content is no usable model. {remedy}")
    if model.built_with != built_with():
        raise DataError(f"{path}: was trained with {model.built_with}, but here is {built_with()}. {remedy}")
    return LinearScorer(model)


def named(texts: Sequence[str], entities: Sequence[str | None] | None) -> list[list[list[str]]]:
    """Feature names by block and text."""
    lexicon = _lexicon()
    opinions: dict[str, float] = {}

    def opinion(text: str) -> float:
        if text not in opinions:
            opinions[text] = float(lexicon.score([text])[0])
        return opinions[text]

    about = entities if entities is not None else [None] * len(texts)
    rows = [features(text, entity, opinion) for text, entity in zip(texts, about, strict=True)]
    return [[row[block] for row in rows] for block in range(len(BLOCKS))]


def count(rows: Iterable[Iterable[str]], places: dict[str, int], grow: bool = False) -> Any:
    """How often each row has each feature: CSR (rows, features), columns sorted. grow: give new names a column."""
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    counts: list[int] = []
    ends = [0]
    for row in rows:
        tally = Counter(row)
        if grow:
            found = sorted((places.setdefault(name, len(places)), times) for name, times in tally.items())
        else:
            found = sorted((places[name], times) for name, times in tally.items() if name in places)
        columns += [column for column, _ in found]
        counts += [times for _, times in found]
        ends.append(len(columns))
    return csr_matrix((np.array(counts, dtype=np.int64), columns, ends), shape=(len(ends) - 1, len(places)))


def scaled(counted: Sequence[Any], scales: Sequence[np.ndarray]) -> Any:
    """Log counts times scale, each block of unit length per row times its weight; CSR (rows, all features).

    Sums run along a row in the order of its columns, so a row's values do not depend on the other rows.
    """
    from scipy.sparse import csr_matrix, hstack

    blocks = []
    for matrix, scale, weight in zip(counted, scales, BLOCK_WEIGHTS, strict=True):
        values = _LOGS[np.minimum(matrix.data, len(_LOGS) - 1)] * scale[matrix.indices]
        squares = csr_matrix((values * values, matrix.indices, matrix.indptr), shape=matrix.shape)
        lengths = np.sqrt(squares @ np.ones(matrix.shape[1]))
        factor = weight / np.where(lengths > 0, lengths, 1.0)
        values = values * np.repeat(factor, np.diff(matrix.indptr))
        blocks.append(csr_matrix((values, matrix.indices, matrix.indptr), shape=matrix.shape))
    return hstack(blocks, format="csr")


def _softmax(row: list[float]) -> list[float]:
    # math.exp, not numpy's: a vectorised one may round differently at the end of an array.
    top = max(row)
    raised = [math.exp(value - top) for value in row]
    total = sum(raised)
    return [value / total for value in raised]


def built_with() -> str:
    """What a model's features depend on beside its file: vocabulary, rules, features and weights of their blocks."""
    return f"{_lexicon().version}, features {FEATURES}, weights {BLOCK_WEIGHTS}"


def _lexicon() -> Any:
    from fx_assets.sentiment.lexicon import default_lexicon

    return default_lexicon()
