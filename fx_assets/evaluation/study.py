"""One honest study of one model: every candidate refitted inside purged folds, beside naive forecasts.

The candidate is chosen by mean out-of-fold loss, and every candidate counts as a trial, as does every earlier trial of
the ledger. How forecasts are traded is positions.py's business, and what it costs backtest.py's. A model of returns is
judged as a forecast of the sign too: its probability of a rise is the one implied by normal errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation import audit, splits
from fx_assets.evaluation.baselines import baseline_predictions
from fx_assets.evaluation.canaries import run_canaries
from fx_assets.evaluation.combinatorial import path_predictions
from fx_assets.evaluation.deflated import judge_trials
from fx_assets.evaluation.figures import (
    against_baselines,
    calibration_error,
    fold_figures,
    regression_report,
    spread,
    stability,
)
from fx_assets.evaluation.importance import named
from fx_assets.evaluation.metrics import auc, classification_report
from fx_assets.evaluation.spec import StudySpec
from fx_assets.evaluation.tested import Tested, prepared
from fx_assets.evaluation.training import Progress, fold_loss, predict_folds

# Distance between the seeds of two repetitions: far beyond those of an ensemble's members.
REPEAT_STEP = 1_000_003


@dataclass(frozen=True)
class Study:
    """The outcome. figures: plain numbers, strings, lists and dicts (JSON).

    predictions: one row per tested row with instrument, time, decision_time, label_end, label (0/1; for returns 1
    where the return was positive), forward_return, fold (from 0; the first that tests the row), prediction
    (probability), for returns forecast, for labels that do not say which way side, and one column per baseline.
    daily_net: net return of each day and candidate; daily: date, gross and cost of the chosen; trades: its trades.
    fold_problems: what is wrong with the folds, in words.
    """

    chosen: dict[str, Any]
    figures: dict[str, Any]
    predictions: pd.DataFrame
    daily_net: pd.DataFrame = field(repr=False)
    daily: pd.DataFrame = field(repr=False)
    trades: pd.DataFrame = field(repr=False)
    fold_problems: list[str]


def evaluate(frame: pd.DataFrame, spec: StudySpec, progress: Progress | None = None, *, canaries: bool = True) -> Study:
    """Run the study; the same rows (in any order) and spec give the same figures, to the last bit.

    frame: instrument, time, decision_time, label (0/1, or the return; NaN rows are dropped), label_end,
        forward_return, optional weight, persistence and side (-1, 0, 1: the primary's, for meta), and the features;
        times tz-aware UTC.
    progress: called with one line per fold and candidate. canaries: whether the leak canaries are run as well, which
        only a caller that runs them itself leaves out.
    Raises ValueError for a missing column, an unknown label kind, no candidates, a missing spread, a row twice, or
    folds that cannot be filled.
    """
    rows = prepared(frame, spec)
    cuts = splits.folds(rows, spec.validation)
    work = Tested(rows, spec, cuts)
    raw = predict_folds(work.data, spec, spec.candidates, cuts, None, progress, work.keep)
    losses = {name: work.losses(parts) for name, parts in raw.items()}
    best = min(losses, key=lambda name: (float(np.mean(losses[name])), name))
    chosen = next(dict(c) for c in spec.candidates if c["name"] == best)
    stated = {name: work.probabilities(name, parts) for name, parts in raw.items()}
    whole = {name: work.whole(parts) for name, parts in stated.items()}
    p, y, w, out, days = whole[best], work.y[work.tested], work.w[work.tested], work.out, work.days

    figures: dict[str, Any] = classification_report(y, p, w, days, spec.seed)
    naive = [baseline_predictions(work.binary, fold.train, fold.test) for fold in cuts]
    parted = {name: [part[name] for part in naive] for name in naive[0]}
    baselines = {name: work.whole(parts) for name, parts in parted.items()}
    figures |= against_baselines(y, p, w, days, baselines, spec.seed)
    tests, sizes = [fold.test for fold in cuts], [len(fold.train) for fold in cuts]
    figures["folds"] = fold_figures(
        rows["decision_time"], sizes, tests, work.y, stated[best], parted[figures["baseline"]]
    )
    figures |= stability(figures["folds"])

    runs = {name: work.trade(q) for name, q in whole.items()}
    traded = {name: run.figures(seed=spec.seed, cost_source=work.cost_source) for name, run in runs.items()}
    daily = pd.DataFrame({name: result.pop("daily") for name, result in traded.items()})
    figures |= {"label_kind": spec.label_kind, "backtest": traded[best]}
    figures |= judge_trials(daily, best, spec.ledger.sharpes, spec.ledger.count)
    figures |= {
        "chosen": best,
        "candidates": [
            {
                "name": candidate["name"],
                "algorithm": candidate.get("algorithm", "xgboost"),
                "log_loss": work.log_loss(stated[candidate["name"]]),
                "auc": auc(y, whole[candidate["name"]], w),
                "sharpe_net": traded[candidate["name"]]["sharpe_net"]["value"],
            }
            for candidate in spec.candidates
        ],
        "trials_counted": _counted(spec),
        "calibration": {
            "method": chosen.get("calibration", "none"),
            "per_fold_ece": [calibration_error(work.y[t], q) for t, q in zip(tests, stated[best], strict=True)],
        },
        "importance": named(work.importance[best], spec.feature_names),
        "seeds": _seeds(work, chosen, p, traded[best], progress),
    }
    if spec.target == "real":
        forecast = work.whole(raw[best])
        out = out.assign(forecast=forecast)
        value = work.data.y[work.tested]
        figures["regression"] = regression_report(value, forecast, w, days, spec.seed)
    if spec.validation.method == "combinatorial":
        figures["paths"] = _paths(work, stated[best])
    if canaries:
        figures["canaries"] = run_canaries(rows, spec, chosen, cuts, progress=progress)
        random = figures["canaries"]["random_labels"]
        figures["random_label_auc"] = {key: random[key] for key in ("value", "low", "high")}
    return Study(
        chosen,
        figures,
        out.assign(prediction=p, **baselines),
        daily,
        runs[best].accounts,
        runs[best].trades,
        audit.audit(rows, cuts, spec.validation),
    )


def _seeds(
    work: Tested, chosen: Mapping[str, Any], p: np.ndarray, traded: Mapping[str, Any], progress: Progress | None
) -> dict[str, Any]:
    """The chosen candidate's main figures over `validation.seeds` repetitions, the study itself being the first."""
    spec, w, y = work.spec, work.w[work.tested], work.y[work.tested]
    found = [(auc(y, p, w), fold_loss(y, p, "binary"), traded["sharpe_net"]["value"])]
    for k in range(1, spec.validation.seeds):
        if progress:
            progress(f"repetition {k + 1} of {spec.validation.seeds} with another seed")
        seed = spec.seed + k * REPEAT_STEP
        scales = Tested(work.rows, spec, work.cuts) if spec.target == "real" else work
        raw = predict_folds(
            work.data, spec, [chosen], work.cuts, seed, None, scales.keep if scales is not work else None
        )
        q = work.whole(scales.probabilities(chosen["name"], raw[chosen["name"]]))
        sharpe = work.trade(q).figures(seed=spec.seed)["sharpe_net"]["value"]
        found.append((auc(y, q, w), fold_loss(y, q, "binary"), sharpe))
    names = ("auc", "log_loss", "sharpe_net")
    return {"count": len(found)} | {name: spread([row[i] for row in found]) for i, name in enumerate(names)}


def _paths(work: Tested, parts: Sequence[np.ndarray]) -> dict[str, Any]:
    """Spread of AUC and net Sharpe ratio over the whole histories that combinatorial folds can be put together to."""
    validation = work.spec.validation
    routes = path_predictions(work.data.start, work.cuts, parts, validation.folds, validation.held_out)
    y, w = work.y[work.tested], work.w[work.tested]
    routes = routes[:, work.tested]
    sharpes = [work.trade(q).figures(seed=work.spec.seed)["sharpe_net"]["value"] for q in routes]
    return {"count": len(routes), "auc": spread([auc(y, q, w) for q in routes]), "sharpe_net": spread(sharpes)}


def _counted(spec: StudySpec) -> dict[str, int]:
    given = spec.ledger.sources
    counted = {name: int(given.get(name, 0)) for name in ("candidates", "search", "strategy")}
    counted["candidates"] += len(spec.candidates)
    return counted
