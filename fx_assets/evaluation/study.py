"""One honest study of one model: every candidate refitted inside purged walk-forward folds, beside naive
forecasts.

The candidate is chosen by mean out-of-fold log loss, and every candidate counts as a trial. Reference
strategies of
the backtest: a direction model holds the sign of p - 0.5; a large-move model says nothing about direction, so
it repeats the sign of the last return in the hours in which it expects a large move (p > 0.5), which shows
what acting on it would have cost. Horizons longer than a bar are traded on every horizon-th bar only, so that
no two held returns overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.evaluation.backtest import backtest, trading_day
from fx_assets.evaluation.baselines import baseline_predictions
from fx_assets.evaluation.deflated import deflated_sharpe, pbo, sharpe
from fx_assets.evaluation.metrics import auc, auc_difference, classification_report
from fx_assets.evaluation.splits import Fold, walk_forward
from fx_assets.evaluation.training import full_params, matrix_columns, row_weights, xgboost_module
from fx_assets.features.blocks import time_us

REQUIRED = ("instrument", "time", "decision_time", "label", "label_end", "forward_return")
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """The outcome. figures: plain numbers, strings, lists and dicts (JSON); predictions: one row per tested
    row with instrument, time, decision_time, label, forward_return, fold, prediction and one column per
    baseline.
    """

    chosen: dict[str, Any]
    figures: dict[str, Any]
    predictions: pd.DataFrame
    daily_net: pd.DataFrame = field(repr=False)


def evaluate(
    frame: pd.DataFrame,
    feature_names: Sequence[str],
    candidates: Sequence[Mapping[str, Any]],
    folds: int,
    embargo: np.timedelta64 | pd.Timedelta,
    label_kind: str,
    half_spread: Mapping[str, float],
    nthread: int = 2,
    seed: int = 0,
    progress: Progress | None = None,
) -> Study:
    """Run the study.

    frame: instrument, time, decision_time, label (0/1, NaN rows are dropped), label_end, forward_return,
        optional weight and persistence, and the features; times tz-aware UTC. label_kind: "direction" or
        "large_move".
    candidates: {name, algorithm: "xgboost", params, rounds}. half_spread: half the spread over the price, by
        instrument. progress: called with one line per fold and candidate.
    Raises ValueError for a missing column, an unknown label kind, no candidates, or a missing spread.
    """
    rows = _prepare(frame, feature_names, candidates, label_kind, half_spread)
    cuts = walk_forward(
        _moments(rows["decision_time"]),
        _moments(rows["label_end"]),
        folds,
        _span(embargo),
    )
    fitted = _predict(rows, feature_names, candidates, cuts, nthread, seed, progress)
    test = np.concatenate([fold.test for fold in cuts])
    number = np.concatenate([np.full(len(fold.test), k) for k, fold in enumerate(cuts)])
    naive = [baseline_predictions(rows, fold.train, fold.test) for fold in cuts]
    baselines = {name: np.concatenate([part[name] for part in naive]) for name in naive[0]}
    out = rows.iloc[test].reset_index(drop=True).assign(fold=number)
    y, w = out["label"].to_numpy(float), row_weights(out)
    losses = {name: [_log_loss(y[number == k], p[number == k]) for k in range(folds)] for name, p in fitted.items()}
    best = min(losses, key=lambda name: (float(np.mean(losses[name])), name))
    chosen = next(dict(c) for c in candidates if c["name"] == best)
    p = fitted[best]
    days = trading_day(_moments(out["decision_time"]))
    figures: dict[str, Any] = classification_report(y, p, w, days, seed)
    figures |= _against_baselines(y, p, w, days, number, baselines, seed)
    figures["folds"] = _fold_figures(rows, cuts, y, p, number, baselines[figures["baseline"]])
    figures |= _stability(figures["folds"])
    traded = {name: _trade(out, q, label_kind, half_spread, seed) for name, q in fitted.items()}
    daily = pd.DataFrame({name: result.pop("daily") for name, result in traded.items()})
    ratios = [sharpe(daily[name].to_numpy()) for name in daily]
    figures |= {
        "label_kind": label_kind,
        "backtest": traded[best],
        "dsr": deflated_sharpe(daily[best].to_numpy(), np.array(ratios)),
        "pbo": pbo(daily.to_numpy()),
        "trials": len(candidates),
        "chosen": best,
        "candidates": [
            {
                "name": name,
                "log_loss": float(np.mean(losses[name])),
                "sharpe_net": traded[name]["sharpe_net"]["value"],
            }
            for name in fitted
        ],
    }
    keep = ["instrument", "time", "decision_time", "label", "forward_return", "fold"]
    return Study(chosen, figures, out[keep].assign(prediction=p, **baselines), daily)


def random_label_auc(
    frame: pd.DataFrame,
    feature_names: Sequence[str],
    candidate: Mapping[str, Any],
    folds: int,
    embargo: np.timedelta64 | pd.Timedelta,
    nthread: int = 2,
    seed: int = 0,
) -> dict[str, float]:
    """Leak canary: out-of-fold AUC {value, low, high} after shuffling the labels.

    An interval without 0.5 means that the procedure lets a test row's label into its own prediction.
    """
    rows = frame.loc[frame["label"].notna()].reset_index(drop=True)
    rows["label"] = np.random.default_rng(seed).permutation(np.asarray(rows["label"], float))
    cuts = walk_forward(
        _moments(rows["decision_time"]),
        _moments(rows["label_end"]),
        folds,
        _span(embargo),
    )
    p = _predict(rows, feature_names, [candidate], cuts, nthread, seed, None)[candidate["name"]]
    test = np.concatenate([fold.test for fold in cuts])
    days = trading_day(_moments(rows["decision_time"]))[test]
    return classification_report(np.asarray(rows["label"], float)[test], p, None, days, seed)["auc"]


def _prepare(frame, feature_names, candidates, label_kind, half_spread) -> pd.DataFrame:
    missing = [c for c in (*REQUIRED, *feature_names) if c not in frame.columns]
    if missing:
        raise ValueError(f"study frame: column(s) {', '.join(missing)} missing. Join labels and features first.")
    if label_kind not in ("direction", "large_move"):
        raise ValueError(f"label kind {label_kind!r} is not direction or large_move. Change it in models.yaml.")
    if not candidates:
        raise ValueError("no candidates to study. Add at least one to the model in models.yaml.")
    rows = frame[frame["label"].notna() & frame["forward_return"].notna()]
    rows = rows.sort_values(["decision_time", "instrument"], kind="stable").reset_index(drop=True)
    unknown = sorted(set(rows["instrument"].unique()) - set(half_spread))
    if unknown:
        raise ValueError(f"no half spread for {', '.join(unknown)}. State the typical spread in instruments.yaml.")
    return rows


def _predict(
    rows: pd.DataFrame,
    feature_names: Sequence[str],
    candidates: Sequence[Mapping[str, Any]],
    cuts: Sequence[Fold],
    nthread: int,
    seed: int,
    progress: Progress | None,
) -> dict[str, np.ndarray]:
    """Out-of-fold probabilities of every candidate, in fold order. Bins and trees see training rows only."""
    xgb = xgboost_module()
    x, y, w = matrix_columns(rows, feature_names), rows["label"].to_numpy(float), row_weights(rows)
    out: dict[str, list[np.ndarray]] = {candidate["name"]: [] for candidate in candidates}
    for k, fold in enumerate(cuts):
        data: dict[int, Any] = {}
        for candidate in candidates:
            params = full_params(candidate, seed, nthread)
            bins = params["max_bin"]
            if bins not in data:
                data[bins] = xgb.QuantileDMatrix(
                    x[fold.train], label=y[fold.train], weight=w[fold.train], max_bin=bins, nthread=nthread
                )
            booster = xgb.train(params, data[bins], num_boost_round=int(candidate["rounds"]))
            p = booster.inplace_predict(x[fold.test])
            out[candidate["name"]].append(np.asarray(p, float))
            if progress:
                progress(
                    f"fold {k + 1}/{len(cuts)} {candidate['name']}: {len(fold.train)} training rows, "
                    f"log loss {_log_loss(y[fold.test], p):.5f}"
                )
    return {name: np.concatenate(parts) for name, parts in out.items()}


def _against_baselines(y, p, w, days, number, baselines, seed) -> dict[str, Any]:
    """Figures of every baseline, and the model's advantage over the one with the highest AUC."""
    accuracy = _accuracy(y, p, w)
    table = {
        name: {
            "auc": auc(y, q, w),
            "accuracy": _accuracy(y, q, w),
            "brier": _brier(y, q, w),
            "log_loss": _log_loss(y, q),
        }
        for name, q in baselines.items()
    }
    best = max(table, key=lambda name: table[name]["auc"])
    return {
        "baselines": table,
        "baseline": best,
        "auc_vs_baseline": auc_difference(y, p, baselines[best], days, w, seed),
        "brier_vs_base_rate": _brier(y, p, w) - table["zero_rule"]["brier"],
        "accuracy_vs_zero_rule": accuracy - table["zero_rule"]["accuracy"],
        "accuracy_vs_last_sign": accuracy - table.get("last_sign", {}).get("accuracy", float("nan")),
    }


def _fold_figures(rows, cuts, y, p, number, baseline) -> list[dict[str, Any]]:
    out = []
    for k, fold in enumerate(cuts):
        at = number == k
        decided = rows["decision_time"].iloc[fold.test]
        out.append(
            {
                "fold": k + 1,
                "start": decided.iloc[0].isoformat(),
                "end": decided.iloc[-1].isoformat(),
                "train_rows": len(fold.train),
                "test_rows": len(fold.test),
                "base_rate": float(y[at].mean()),
                "auc": auc(y[at], p[at]),
                "baseline_auc": auc(y[at], baseline[at]),
                "accuracy": _accuracy(y[at], p[at], None),
                "brier": _brier(y[at], p[at], None),
                "log_loss": _log_loss(y[at], p[at]),
            }
        )
    return out


def _stability(folds: list[dict[str, Any]]) -> dict[str, Any]:
    above = [fold["auc"] > fold["baseline_auc"] for fold in folds]
    return {
        "worst_fold": min(folds, key=lambda fold: fold["auc"]),
        "fold_share_above_baseline": float(np.mean(above)),
    }


def _trade(
    out: pd.DataFrame, p: np.ndarray, label_kind: str, half_spread: Mapping[str, float], seed: int
) -> dict[str, Any]:
    if label_kind == "direction":
        position = np.sign(p - 0.5)
    else:
        last = np.nan_to_num(out["log_return_1"].to_numpy(float)) if "log_return_1" in out else np.zeros(len(out))
        position = np.where(p > 0.5, np.sign(last), 0.0)
    decided = _moments(out["decision_time"])
    step = (_moments(out["label_end"]) - decided).min()
    # Every horizon-th moment: held returns must not overlap.
    keep = decided.astype("datetime64[us]").astype(np.int64) % step.astype("timedelta64[us]").astype(np.int64) == 0
    if not keep.any():
        keep = np.ones(len(out), bool)
    half = np.array([half_spread[name] for name in out["instrument"]], float)
    return backtest(
        position[keep],
        out["forward_return"].to_numpy(float)[keep],
        half[keep],
        decided[keep],
        out["instrument"].to_numpy(str)[keep],
        step=step,
        seed=seed,
    )


def _moments(times: Any) -> np.ndarray:
    return time_us(times).view("datetime64[us]")


def _span(embargo: np.timedelta64 | pd.Timedelta) -> np.timedelta64:
    return np.timedelta64(pd.Timedelta(embargo).value, "ns")


def _accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return float(np.average((p >= 0.5) == (y > 0.5), weights=w))


def _brier(y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    return float(np.average((p - y) ** 2, weights=w))


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    q = np.clip(np.asarray(p, float), 1e-15, 1.0 - 1e-15)
    return float(-np.mean(y * np.log(q) + (1.0 - y) * np.log1p(-q)))
