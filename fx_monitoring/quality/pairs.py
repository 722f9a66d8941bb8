"""A candidate beside the version that served, on the same rows: paired differences with intervals.

What the market did is the same for both, so that most of the noise cancels: a difference is known far better than
either figure. One answer for each bar and instrument counts, the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.bootstrap import block_counts, interval
from fx_assets.evaluation.metrics import auc, auc_difference
from fx_monitoring.quality.figures import MIN_BLOCKS, block_ids, weights, widened_ends

SHADOW, ANSWERED = "shadow", "answered"
KEY = ["instrument", "decision_time"]


def shadow_pairs(shadows: pd.DataFrame) -> pd.DataFrame:
    """Unseen scores beside served answers, both without failure: model, champion, challenger, source, session,
    instrument, decision_time, label_end, outcome, held (the champion's P) and tried (the challenger's).

    shadows: of shadow_frame, with session.
    """
    good = shadows[shadows["prediction"].notna() & shadows["served_prediction"].notna()]
    good = good[good["version"] != good["served_version"]].sort_values("timestamp", kind="stable")
    made = good.rename(
        columns={
            "served_version": "champion",
            "version": "challenger",
            "served_prediction": "held",
            "prediction": "tried",
        }
    ).assign(source=SHADOW)
    return _one_a_bar(made)


def answered_pairs(answers: pd.DataFrame, champions: Mapping[str, str]) -> pd.DataFrame:
    """Bars that the champion and another version both answered, each in its own requests; as `shadow_pairs`.

    answers: of rolling.recent. champions: the serving version by model.
    """
    own = answers[["model", "version", *KEY, "session", "label_end", "outcome", "prediction"]]
    holds = own["version"] == own["model"].map(dict(champions))
    held = own[holds].rename(columns={"version": "champion", "prediction": "held"})
    tried = own[~holds].rename(columns={"version": "challenger", "prediction": "tried"})
    both = held.merge(tried[["model", "challenger", *KEY, "tried"]], on=["model", *KEY])
    return _one_a_bar(both.assign(source=ANSWERED))


def compare(pairs: pd.DataFrame, horizon_minutes: float, min_effective: float, seed: int = 0) -> dict[str, Any]:
    """One challenger against one champion: figures of both on the rows whose outcome is known, and the differences.

    Returns n (bars), known, blocks, n_effective, agree (share of bars on which both say the same), correlation of the
    two forecasts; where outcomes are known also held and tried {accuracy, auc, brier}, and differences
    {accuracy, auc, brier: {value, low, high}}, challenger minus champion, so that accuracy and AUC above 0 and Brier
    below 0 speak for the challenger. verdict: better or worse where the interval of the Brier difference lies on one
    side of 0, else inconclusive; why: in words.
    """
    held, tried = pairs["held"].to_numpy(float), pairs["tried"].to_numpy(float)
    out: dict[str, Any] = {
        "n": len(pairs),
        "agree": float(((held >= 0.5) == (tried >= 0.5)).mean()) if len(pairs) else None,
        "correlation": _correlation(held, tried),
    }
    known = pairs[pairs["outcome"].notna()]
    out["known"] = len(known)
    if known.empty:
        return {**out, "blocks": 0, "verdict": "inconclusive", "why": "no outcome is known yet"}
    y = known["outcome"].to_numpy(float)
    a, b = known["held"].to_numpy(float), known["tried"].to_numpy(float)
    w, block = weights(known, horizon_minutes), block_ids(known, horizon_minutes)
    codes = np.unique(block, return_inverse=True)[1].ravel()
    blocks = int(codes.max()) + 1
    squared = (b - y) ** 2 - (a - y) ** 2
    right = ((b >= 0.5) == (y > 0.5)).astype(float) - ((a >= 0.5) == (y > 0.5)).astype(float)
    differences = {
        "accuracy": _difference(right, w, codes, blocks, seed),
        "auc": _ends(auc_difference(y, b, a, block, w, seed), blocks),
        "brier": _difference(squared, w, codes, blocks, seed),
    }
    effective = float(w.sum() ** 2 / (w @ w))
    out |= {
        "blocks": blocks,
        "n_effective": effective,
        "held": _figures(y, a, w),
        "tried": _figures(y, b, w),
        "differences": differences,
    }
    return {**out, **_verdict(differences["brier"], blocks, effective, min_effective)}


def _verdict(brier: Mapping[str, float | None], blocks: int, effective: float, needed: float) -> dict[str, str]:
    low, high = brier["low"], brier["high"]
    if low is None or high is None or effective < needed:
        why = f"{effective:.0f} effective rows in {blocks} blocks; {needed:g} in {MIN_BLOCKS} are needed"
        return {"verdict": "inconclusive", "why": why}
    told = f"Brier score {brier['value']:+.5f} [{low:+.5f}, {high:+.5f}] against the champion's"
    if low <= 0 <= high:
        return {"verdict": "inconclusive", "why": told}
    return {"verdict": "better" if high < 0 else "worse", "why": told}


def _difference(figure: np.ndarray, w: np.ndarray, codes: np.ndarray, blocks: int, seed: int) -> dict[str, Any]:
    counts = block_counts(blocks, seed=seed)
    sums, mass = np.bincount(codes, weights=w * figure), np.bincount(codes, weights=w)
    found = interval(float(w @ figure / w.sum()), (counts @ sums) / np.maximum(counts @ mass, 1e-300))
    return _ends(found, blocks)


def _ends(figure: Mapping[str, float], blocks: int) -> dict[str, float | None]:
    low, high = widened_ends(figure, blocks)
    value = figure["value"]
    return {"value": value if np.isfinite(value) else None, "low": low, "high": high}


def _figures(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> dict[str, float | None]:
    area = auc(y, p, w)
    return {
        "accuracy": float(w @ ((p >= 0.5) == (y > 0.5)) / w.sum()),
        "auc": area if np.isfinite(area) else None,
        "brier": float(w @ (p - y) ** 2 / w.sum()),
    }


def _correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _one_a_bar(pairs: pd.DataFrame) -> pd.DataFrame:
    names = ["model", "champion", "challenger", "source", "session", *KEY, "label_end", "outcome", "held", "tried"]
    return pairs[names].drop_duplicates(["model", "champion", "challenger", "source", *KEY], ignore_index=True)


def failures(shadows: pd.DataFrame) -> list[dict[str, Any]]:
    """By model and challenger: unseen scores, how many failed and how, and the median and 99 % of their time."""
    found = []
    for (model, version), own in shadows.groupby(["model", "version"], sort=True):
        kinds = own["failed"].dropna().value_counts()
        found.append(
            {
                "model": str(model),
                "challenger": str(version),
                "scores": len(own),
                "failed": int(kinds.sum()),
                "by_kind": {str(kind): int(count) for kind, count in kinds.items()},
                "p50_us": float(own["service_us"].quantile(0.5)),
                "p99_us": float(own["service_us"].quantile(0.99)),
            }
        )
    return found
