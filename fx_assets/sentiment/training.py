"""Training of the linear model, and what cross-validation says of it. The model itself is in linear.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fx_assets.errors import DataError
from fx_assets.sentiment.base import LABELS, NEUTRAL_BAND, banded
from fx_assets.sentiment.evaluation import quality
from fx_assets.sentiment.labelled import Labelled
from fx_assets.sentiment.lexicon import default_lexicon, plain_vader
from fx_assets.sentiment.linear import LinearModel, built_with, count, named, scaled

FOLDS = 5
# A feature must occur in as many training texts; the lexicon's few buckets always count.
MIN_ROWS = (2, 3, 1)
INVERSE_PENALTY = 8.0
MIN_ROWS_OF_FILE = 50
Step = Callable[[str], None]


def train(data: Labelled, step: Step = lambda what: None) -> tuple[LinearModel, dict[str, Any]]:
    """A model of all rows, and a report of how models of four fifths of them do on the rest.

    data: texts, labels -1, 0, 1, and entities or None. With entities each row is learnt twice, with and without its
    entity marked: headlines come without. Rows of the same text are in the same fold. step: is called before each of
    FOLDS + 2 steps with its name.
    Returns the model and a report fit for JSON: it holds no times, so that the same file gives the same report.
    Raises DataError for too few rows or classes, or too few different texts of a class.
    """
    _check(data)
    step("features")
    size, twice = len(data.texts), 1 if data.entities is None else 2
    about = None if data.entities is None else [*data.entities, *[None] * size]
    places: list[dict[str, int]] = [{}, {}, {}]
    counted = [
        count(block, known, grow=True) for block, known in zip(named(data.texts * twice, about), places, strict=True)
    ]
    names = [list(known) for known in places]
    labels = np.array(data.labels * twice)
    predicted = np.zeros(len(labels), dtype=np.int8)
    folds = []
    for number, (inside, outside) in enumerate(_folds(data, labels, _groups(data.texts) * twice), 1):
        step(f"fold {number} of {FOLDS}")
        model = _fit(counted, names, labels, inside, about is not None)
        kept = _columns(counted, names, model)
        logits = scaled([matrix[outside] for matrix in kept], model.scales) @ model.weights + model.offsets
        predicted[outside] = logits.argmax(axis=1) - 1
        asked = outside[outside < size]
        folds.append(float((predicted[asked] == labels[asked]).mean()))
    step("all rows")
    model = _fit(counted, names, labels, np.arange(len(labels)), about is not None)
    return model, _report(data, predicted, folds, model)


def _check(data: Labelled) -> None:
    present = sorted(set(data.labels))
    if len(data.texts) < MIN_ROWS_OF_FILE or len(present) < 2 or min(data.labels.count(c) for c in present) < FOLDS:
        counts = ", ".join(f"{data.labels.count(c - 1)} {name}" for c, name in enumerate(LABELS))
        raise DataError(
            f"{data.source}: {len(data.texts)} labelled rows ({counts}) are too few to train on. Give at least "
            f"{MIN_ROWS_OF_FILE} rows and {FOLDS} of each of two classes."
        )
    groups = _groups(data.texts)
    if len(set(groups)) < FOLDS:
        raise DataError(f"{data.source}: has fewer than {FOLDS} different texts. Give more of them.")
    for label in present:
        different = len({text for text, own in zip(groups, data.labels, strict=True) if own == label})
        if different < FOLDS:
            raise DataError(
                f"{data.source}: its {data.labels.count(label)} {LABELS[label + 1]} rows have {different} different "
                f"texts, too few to learn from some and be judged on others. Give at least {FOLDS}, or leave them out."
            )


def _folds(data: Labelled, labels: Any, groups: list[str]) -> list[tuple[Any, Any]]:
    """Rows to learn from and rows to be judged on, FOLDS times, no text in both.

    Folds of one size; spread by class instead where those would leave one class only to learn from.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    for splitter in (GroupKFold(FOLDS), StratifiedGroupKFold(FOLDS)):
        folds = list(splitter.split(labels, labels, groups))
        if all(len(set(labels[inside])) > 1 and len(outside) for inside, outside in folds):
            return folds
    raise DataError(
        f"{data.source}: one class is in so few texts that some fifth of the texts holds all of it. Give more "
        "different texts of each class."
    )


def _groups(texts: Sequence[str]) -> list[str]:
    """What may not be on both sides of a split: the same words, however written."""
    return [" ".join(text.lower().split()) for text in texts]


def _fit(counted: Sequence[Any], names: Sequence[list[str]], labels: Any, rows: Any, entities: bool) -> LinearModel:
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    kept, kept_names, scales = [], [], []
    for matrix, known, least in zip(counted, names, MIN_ROWS, strict=True):
        chosen = matrix[rows]
        among = np.bincount(chosen.indices, minlength=matrix.shape[1])
        columns = np.flatnonzero(among >= least)
        kept.append(chosen[:, columns])
        kept_names.append(tuple(known[column] for column in columns))
        scales.append(np.log((1 + len(rows)) / (1 + among[columns])) + 1 if least > 1 else np.ones(len(columns)))
    with threadpool_limits(1):  # one thread is the faster one here, and gives the same bits on every machine size
        fitted = LogisticRegression(C=INVERSE_PENALTY, max_iter=500, tol=1e-3).fit(scaled(kept, scales), labels[rows])
    weights, offsets = np.zeros((fitted.coef_.shape[1], len(LABELS))), np.full(len(LABELS), -1e3)
    classes = [int(label) + 1 for label in fitted.classes_]
    if len(classes) == 2:  # one row of coefficients, for the second class
        weights[:, classes[1]], offsets[classes] = fitted.coef_[0], (0.0, fitted.intercept_[0])
    else:
        weights[:, classes], offsets[classes] = fitted.coef_.T, fitted.intercept_
    return LinearModel(tuple(kept_names), tuple(scales), weights, offsets, entities, built_with())


def _columns(counted: Sequence[Any], names: Sequence[list[str]], model: LinearModel) -> list[Any]:
    """The counts of a model's own features, in its order."""
    kept = []
    for matrix, known, own in zip(counted, names, model.places, strict=True):
        kept.append(matrix[:, np.array([i for i, name in enumerate(known) if name in own], dtype=int)])
    return kept


def _report(data: Labelled, predicted: Any, folds: list[float], model: LinearModel) -> dict[str, Any]:
    labels = np.array(data.labels)
    size = len(labels)
    seen = set(zip(_groups(data.texts), data.entities or [""] * size, strict=True))
    spread = float(np.std(folds, ddof=1))
    same_rows = {
        name: float((banded(scorer.score(data.texts), NEUTRAL_BAND) == labels).mean())
        for name, scorer in (("vader", plain_vader()), ("lexicon", default_lexicon()))
    }
    return {
        "rows": len(labels),
        "texts": len(set(_groups(data.texts))),
        "duplicates": len(labels) - len(seen),
        "entities": data.entities is not None,
        "base_rate": float(max((labels == c).mean() for c in (-1, 0, 1))),
        "classes": {name: int((labels == c - 1).sum()) for c, name in enumerate(LABELS)},
        "cross_validation": {
            "kind": f"{FOLDS} folds, rows of one text together",
            "accuracy": float(np.mean(folds)),
            "standard_error": spread / float(np.sqrt(FOLDS)),
            "spread": spread,
            "folds": folds,
            "pooled": quality(labels, predicted[:size]).as_dict(),
            # The same rows, and the model is not told what the label is about.
            "accuracy_without_entity": float((predicted[-size:] == labels).mean()),
        },
        "same_rows_accuracy": same_rows,
        "features": {"words": len(model.names[0]), "parts": len(model.names[1]), "lexicon": len(model.names[2])},
        "built_with": model.built_with,
        "model": f"linear-{model.digest[:12]}",
    }
