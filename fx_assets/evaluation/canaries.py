"""Leak canaries: the study's own procedure and folds, on labels that cannot be learned, or on one that must be.

Three worlds in which an honest procedure does no better than a coin, and one in which it must:

- random_labels: the labels in another order. Only a label that reaches its own prediction is found in them.
- persistent_labels: noise that stays the same for as long as a label lives, and a day at least. Where rows of one day
  are both trained on and tested, as after shuffling, the day is recognised and its label with it.
- shifted_features: features shifted against the labels; each day's labels are those of another time and instrument.
  Labels follow one another as they really do, but what still foretells them does not come through the features.
- future_feature: the same, and one column that knows each row's outcome about as well as classic leaks do: by itself it
  names 69 of 100 outcomes. A procedure that does not notice it would not notice a leak: this is a power check.

Which features look ahead is not asked here: that is what the tables' check `no_lookahead` finds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.evaluation.calendar import trading_day
from fx_assets.evaluation.gates import GateResult
from fx_assets.evaluation.metrics import grouped_auc
from fx_assets.evaluation.purging import Fold
from fx_assets.evaluation.spec import StudySpec
from fx_assets.evaluation.training import Matrix, matrix, predict_folds
from fx_assets.features.blocks import time_us

CANARIES = ("random_labels", "persistent_labels", "shifted_features", "future_feature")
WORDS = {
    "random_labels": "on shuffled labels",
    "persistent_labels": "on noise that lasts as long as a label",
    "shifted_features": "with features of another time",
    "future_feature": "with a feature that knows the outcome",
}
# A single honest canary strays further than 3.3 standard errors once in a thousand. All of them together may raise a
# false alarm as rarely, so that each is held to a quarter of that.
ONE_SIGMAS = 3.3
LEVEL = 2.0 * NormalDist().cdf(-ONE_SIGMAS) / len(CANARIES)
# Leaks show in the first trees; more would only cost time: with 40, all four cost about what six folds of one do.
ROUNDS = 40
FUTURE = "knows_the_outcome"
TOO_TAME = (
    "the candidate is too tame to tell: it could not have noticed a leak, so that its silence on the other canaries "
    "proves nothing. Let it learn more (more rounds, a smaller min_child_weight or penalty), or give it more rows"
)
_DAY_US = 86_400_000_000
_DRAWS = 20
Progress = Callable[[str], None]


def run_canaries(
    rows: pd.DataFrame,
    spec: StudySpec,
    candidate: Mapping[str, Any],
    cuts: Sequence[Fold],
    seed: int | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, float]]:
    """The four canaries of a candidate, in the order of CANARIES.

    rows: instrument, decision_time, label_end (UTC), label (none missing), optional weight, and the spec's features, in
        the order that the cuts' row numbers mean. cuts: the folds that the study was made with, not others like them.
    candidate: fitted as in the study, but with at most ROUNDS rounds and one seed. seed: the spec's by default.
    Returns for each {value, low, high, limit}: the AUC, counted within folds, its 95 % interval over resampled days,
    and how many standard errors from 0.5 it may lie. With target "real" it is the AUC of the label's sign.
    """
    seed = spec.seed if seed is None else seed
    tried = {**candidate, "rounds": min(int(candidate.get("rounds", ROUNDS)), ROUNDS), "seeds": 1}
    asked = msgspec.structs.replace(spec, feature_names=(*spec.feature_names, FUTURE))
    data, period = matrix(rows, spec), periods(rows, cuts)
    codes = pd.factorize(rows["instrument"], sort=True)[0]
    outcomes: dict[str, list[np.ndarray]] = {name: [] for name in CANARIES}
    answers: dict[str, list[np.ndarray]] = {name: [] for name in CANARIES}
    for k, cut in enumerate(cuts):
        # Drawn anew for each fold: one fold's test is another's training, and their luck would be the same luck.
        known = np.random.default_rng([seed, k])
        worlds, knows = _worlds(data, codes, period, spec.target, known)
        # All worlds see the column that knows the outcome of one of them, so that features are binned only once.
        seen = replace(data, x=np.column_stack([data.x, knows]))
        shared: dict = {}
        for name, y in worlds.items():
            made = replace(seen, y=y)
            answers[name] += predict_folds(made, asked, [tried], [cut], seed=seed, shared=shared)[tried["name"]]
            outcomes[name].append((y[cut.test] > 0).astype(float))
    fold = np.repeat(np.arange(len(cuts)), [len(cut.test) for cut in cuts])
    block = np.concatenate([period[cut.test] for cut in cuts]) * len(cuts) + fold
    limit = _limit(len(np.unique(block)) - len(cuts))
    found = {}
    for name in CANARIES:
        area = grouped_auc(np.concatenate(outcomes[name]), np.concatenate(answers[name]), fold, block, seed)
        found[name] = {**area, "limit": limit}
        if progress:
            progress(f"canary {name}: AUC {area['value']:.4f}")
    return found


def canary_gates(figures: Mapping[str, Any]) -> list[GateResult]:
    """A gate for each canary, named leak_<canary>; a figure that is missing or not a number fails.

    figures: the study's, with `canaries` as run_canaries gives them. A gate's value is in standard errors from 0.5.
    """
    return [_gate(name, figures.get("canaries", {}).get(name) or {}) for name in CANARIES]


def leak_canary(figures: Mapping[str, Any]) -> GateResult:
    """All canaries as one gate: how many of them fail, and which."""
    gates = canary_gates(figures)
    failed = [gate for gate in gates if not gate.passed]
    reason = "; ".join(gate.reason for gate in failed or gates)
    return GateResult("leak_canary", float(len(failed)), 0.0, "<=", not failed, reason)


def periods(rows: pd.DataFrame, cuts: Sequence[Fold]) -> np.ndarray:
    """The number of the stretch of time that each row is decided in, int64 (n,).

    A stretch is one FX day, or as many as a label lives, and ends where a fold's test begins or ends: honest folds
    never have one on both sides. That is so of the first and last row that each fold tests, whatever lies between.
    """
    start, end = time_us(rows["decision_time"]), time_us(rows["label_end"])
    days = max(1, math.ceil(float(np.median(end - start)) / _DAY_US))
    day = trading_day(start.view("datetime64[us]")).astype(np.int64) // days
    edges = np.unique([edge for cut in cuts for edge in (start[cut.test].min(), start[cut.test].max() + 1)])
    part = np.searchsorted(edges, start, side="right")
    return np.unique(day * (len(edges) + 1) + part, return_inverse=True)[1].ravel()


def _worlds(
    data: Matrix, codes: np.ndarray, period: np.ndarray, target: str, known: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The labels of each world, and the float32 column that knows those of future_feature, and no others."""
    scale = 1.0 if target == "binary" else float(np.std(data.y))
    size = (int(codes.max()) + 1, int(period.max()) + 1)
    drawn = known.integers(0, 2, size).astype(float) if target == "binary" else known.normal(0.0, scale, size)
    future = data.y[_elsewhere(data.start, codes, period, known)]
    worlds = {
        "random_labels": known.permutation(data.y),
        "persistent_labels": drawn[codes, period],
        "shifted_features": data.y[_elsewhere(data.start, codes, period, known)],
        "future_feature": future,
    }
    return worlds, (future / scale + known.normal(0.0, 1.0, len(future))).astype(np.float32)


def _elsewhere(start: np.ndarray, codes: np.ndarray, period: np.ndarray, known: np.random.Generator) -> np.ndarray:
    """For each row another row, of another time and any instrument, int64 (n,).

    The rows of one instrument and period are sent to as many consecutive rows, at a place drawn from all there is:
    neighbours stay neighbours, but the hour of the day, the season and the instrument mean nothing any more.
    """
    order = np.lexsort((start, codes))
    fresh = np.diff(codes[order], prepend=-1) != 0
    heads = np.flatnonzero(fresh)
    sizes = np.diff(np.append(heads, len(order)))
    begins = np.flatnonzero(fresh | (np.diff(period[order], prepend=-1) != 0))
    source = known.integers(0, len(order), len(begins))
    for _ in range(_DRAWS):  # not to about the same time; in a history of a few days that cannot be had
        near = np.abs(period[order[source]] - period[order[begins]]) < 3
        if not near.any():
            break
        source[near] = known.integers(0, len(order), int(near.sum()))
    lengths = np.diff(np.append(begins, len(order)))
    step = np.arange(len(order)) - np.repeat(begins, lengths)
    whose = np.repeat(np.searchsorted(heads, source, side="right") - 1, lengths)
    place = heads[whose] + (np.repeat(source, lengths) - heads[whose] + step) % sizes[whose]
    other = np.empty(len(order), np.int64)
    other[order] = order[place]
    return other


def _limit(freedom: int) -> float:
    """Standard errors that LEVEL allows: few days make the error itself uncertain, so Student's quantile."""
    from scipy.special import stdtrit

    return -float(stdtrit(max(freedom, 1), LEVEL / 2.0))


def _gate(name: str, found: Mapping[str, Any]) -> GateResult:
    value, low, high, limit = (_number(found.get(key)) for key in ("value", "low", "high", "limit"))
    # A candidate that says the same of every row has no error, and gives nothing away.
    away = (value - 0.5) / max((high - low) / (2 * 1.96), 1e-9)
    if name == "future_feature":
        op, passed = ">", away > limit
        verdict = f"{away:.1f} standard errors above 0.5, more than {limit:.1f} needed"
    else:
        away = abs(away)
        op, passed = "<=", away <= limit
        verdict = f"{away:.1f} standard errors from 0.5, up to {limit:.1f} allowed"
    reason = f"AUC {value:.4f} {WORDS[name]} lies {verdict}"
    if name == "future_feature" and not passed:
        reason = f"{TOO_TAME} ({reason})"
    if math.isnan(away) or math.isnan(limit):
        passed, reason = False, f"AUC {WORDS[name]} is missing or not a number, so a leak cannot be ruled out"
    return GateResult(f"leak_{name}", away, limit, op, passed, reason)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
