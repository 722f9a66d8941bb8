"""The walk-forward study that the registered versions of a range of sessions make: each version is judged only on rows
decided from its own session on, none of which it can have seen, and only until the next version would have taken over.

So the figures are those of a desk that had retrained at each of these sessions and used every version at once, whatever
its gates had said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Label
from fx_assets.errors import MissingData
from fx_assets.evaluation import costs
from fx_assets.evaluation.backtest import Run, simulate, trading_day
from fx_assets.evaluation.figures import accuracy, brier
from fx_assets.evaluation.metrics import auc, auc_difference, classification_report
from fx_assets.evaluation.positions import positions
from fx_assets.labels import outcome
from fx_assets.lake import Lake
from fx_assets.models import champion, registry
from fx_assets.models.champion import Champion
from fx_assets.models.report import number, table, with_interval
from fx_assets.sessions import session_bounds
from fx_serving.client.home import Stores

LAST_MOVE = "log_return_1"
KEEP = ("version", "session", "instrument", "time", "decision_time", "label_end", "label", "forward_return")


@dataclass(frozen=True)
class Report:
    """figures: plain values (JSON). rows: KEEP, prediction, naive forecasts and half_spread of every judged row, by
    decision time and instrument. markdown: the same for people.
    """

    figures: dict[str, Any]
    rows: pd.DataFrame
    markdown: str


def versions(stores: Stores, model: str, first: str = "", last: str = "") -> list[registry.VersionRecord]:
    """The newest version of each session from first to last (all by default), by session; versions of older code, which
    cannot be read any more, are left out. Raises MissingData.
    """
    newest: dict[str, registry.VersionRecord] = {}
    for found in registry.records(stores, model):
        session = found.session
        if session and not found.lacks and (not first or session >= first) and (not last or session <= last):
            newest.setdefault(session, found)
    if not newest:
        span = f" of sessions {first or 'the first'} to {last or 'the newest'}" if first or last else ""
        raise MissingData(f"{model}: no registered version{span}. Materialize {model}/trained_model for a range first.")
    return [newest[session] for session in sorted(newest)]


def study(
    stores: Stores,
    lake: Lake,
    model: str,
    first: str = "",
    last: str = "",
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Judge the versions of the sessions first to last (both included; all by default).

    Raises MissingData where there are no versions, or none has rows with a known label after its session.
    """
    found = versions(stores, model, first, last)
    parts: list[pd.DataFrame] = []
    listed: list[dict[str, Any]] = []
    known = None
    for here, after in zip(found, [*found[1:], None], strict=True):
        known = champion.load_version(stores, model, here.version)
        rows = judged_rows(lake, known, after.session if after else None)
        listed.append(_line(known, rows, after.session if after else None))
        parts += [rows] if len(rows) else []
        progress(f"version {here.version} of session {here.session}: {len(rows)} rows, AUC {listed[-1]['auc']:.4f}")
    if known is None or not parts:
        raise MissingData(
            f"{model}: no row with a known label follows the sessions of its versions. Backfill gold/features and "
            "gold/labels of later sessions, or wait for them."
        )
    rows = pd.concat(parts).sort_values(["decision_time", "instrument"], kind="stable", ignore_index=True)
    figures = _whole(rows, known, listed)
    return Report(figures, rows, _markdown(model, figures))


def judged_rows(lake: Lake, version: Champion, until: str | None) -> pd.DataFrame:
    """Rows decided from the start of a version's session on, and before that of session `until`, with its predictions.

    Returns KEEP, prediction (P(label = 1)), zero_rule, and where known persistence, last_sign and side; half_spread as
    a share of the price, by the costs that were known at the training.
    """
    spec = version.spec
    label = Label.model_construct(**spec.label)  # it was checked when the version was trained, and is stored in full
    start = pd.Timestamp(session_bounds(spec.session)[0])
    end = pd.Timestamp(session_bounds(until)[0]) if until else None
    try:
        # From a day earlier: the bar that closes as the session begins is the last one of the session before.
        labels = lake.table("gold/labels", start - pd.Timedelta(days=1), end, spec.instruments)
    except MissingData:
        return pd.DataFrame(columns=[*KEEP, "prediction"])
    rows = outcome(labels, label)
    chosen = rows["label"].notna() & rows["forward_return"].notna() & (rows["decision_time"] >= start)
    if end is not None:
        chosen &= rows["decision_time"] < end
    wanted = list(dict.fromkeys([*version.features, LAST_MOVE]))
    rows = champion.with_its_features(lake, rows[chosen].reset_index(drop=True), wanted)
    rows = rows[rows[version.features].notna().all(axis=1)].reset_index(drop=True)
    out = rows.reindex(columns=list(KEEP)).assign(version=version.version, session=spec.session)
    if rows.empty:
        return out.assign(prediction=np.array([], float))
    inputs = np.ascontiguousarray(rows[version.features].to_numpy(np.float32))
    out["label"] = (rows["label"] > 0).astype(float)
    out["prediction"] = version.predictor.probability(inputs)
    out["zero_rule"] = float(version.figures["base_rate"])
    if "persistence" in rows:
        out["persistence"] = rows["persistence"]
    move = np.sign(np.nan_to_num(rows[LAST_MOVE].to_numpy(float)))
    out["last_sign"] = 0.5 + 0.01 * move
    out["side"] = rows.get("side", move)
    study = spec.study
    out["half_spread"] = costs.for_rows(study.costs_table(), out, study.typical)
    return out


def _line(version: Champion, rows: pd.DataFrame, until: str | None) -> dict[str, Any]:
    """The figures of one version; NaN where it has no rows, or one class only."""
    y = rows["label"].to_numpy(float)
    p = rows["prediction"].to_numpy(float)
    some = len(rows) > 0
    naive = {name: auc(y, rows[name].to_numpy(float)) for name in _naive(version) if some and name in rows}
    return {
        "version": version.version,
        "session": version.session,
        "until": until,
        "gates": version.record.gates,
        "rows": len(rows),
        "base_rate": float(y.mean()) if some else float("nan"),
        "auc": auc(y, p) if some else float("nan"),
        "naive": naive,
        "accuracy": accuracy(y, p, None) if some else float("nan"),
        "brier": brier(y, p, None) if some else float("nan"),
        "study_auc": float(version.figures["auc"]["value"]),
    }


def _naive(version: Champion) -> tuple[str, ...]:
    return ("persistence",) if version.spec.label["kind"] == "large_move" else ("last_sign",)


def _whole(rows: pd.DataFrame, newest: Champion, listed: list[dict[str, Any]]) -> dict[str, Any]:
    y, p = rows["label"].to_numpy(float), rows["prediction"].to_numpy(float)
    days, seed = trading_day(rows["decision_time"].to_numpy("datetime64[us]")), newest.spec.study.seed
    figures: dict[str, Any] = classification_report(y, p, None, days, seed)
    (name,) = _naive(newest)
    other = rows[name].to_numpy(float)
    run = _traded(rows, newest)
    traded = run.figures(seed=seed)
    traded.pop("daily")
    counted = [line for line in listed if line["rows"]]
    net = _net_by_version(run, listed)
    for line, earned in zip(listed, net, strict=True):
        line["net_return"] = earned
    above = [line["auc"] > line["naive"][name] for line in counted]
    return {
        **figures,
        "label_kind": newest.spec.label["kind"],
        "first": listed[0]["session"],
        "last": listed[-1]["session"],
        "naive": name,
        "naive_auc": auc(y, other),
        "auc_vs_naive": auc_difference(y, p, other, days, None, seed),
        "brier_vs_base_rate": brier(y, p, None) - brier(y, rows["zero_rule"].to_numpy(float), None),
        "version_share_above_naive": float(np.mean(above)),
        "worst_version": min(counted, key=lambda line: (line["auc"] != line["auc"], line["auc"]))["version"],
        "study_auc": float(np.mean([line["study_auc"] for line in counted])),
        "backtest": traded,
        "versions": listed,
    }


def _traded(rows: pd.DataFrame, newest: Champion) -> Run:
    """What acting on the predictions would have earned, by the newest version's threshold, latency and swap."""
    study, kind = newest.spec.study, newest.spec.label["kind"]
    side = rows["side"].to_numpy(float) if kind in ("large_move", "meta") else None
    return simulate(
        positions(kind, rows["prediction"].to_numpy(float), study.threshold, side=side),
        rows["forward_return"].to_numpy(float),
        rows["half_spread"].to_numpy(float),
        rows["decision_time"].to_numpy("datetime64[us]"),
        rows["instrument"].to_numpy(str),
        end=rows["label_end"].to_numpy("datetime64[us]"),
        latency=study.latency_bars,
        swap_per_day=study.swap_per_day or 0.0,
    )


def _net_by_version(run: Run, listed: Sequence[Mapping[str, Any]]) -> list[float]:
    """Net return of what was entered while each version was in use, as a share of the whole capital."""
    starts = [np.datetime64(session_bounds(line["session"])[0].replace(tzinfo=None), "us") for line in listed]
    held = run.held
    net = (held["gross"] - held["swap"] - held["entry_cost"] - held["exit_cost"]).to_numpy() / run.instruments
    entered = pd.DatetimeIndex(held["entry_time"]).tz_localize(None).to_numpy("datetime64[us]")
    place = np.searchsorted(np.array(starts), entered, side="right") - 1
    return np.bincount(np.maximum(place, 0), net, minlength=len(listed)).tolist()


def _markdown(model: str, figures: Mapping[str, Any]) -> str:
    """The report: what may be said, and one line for each version."""
    traded, name = figures["backtest"], figures["naive"]
    head = ("version", "session", "rows", "base rate", "AUC", name, "its study's AUC", "Brier", "net return", "gates")
    lines = [
        [
            line["version"],
            line["session"],
            str(line["rows"]),
            number(line["base_rate"]),
            number(line["auc"]),
            number(line["naive"].get(name)),
            number(line["study_auc"]),
            number(line["brier"]),
            number(line["net_return"], ".2%"),
            line["gates"],
        ]
        for line in figures["versions"]
    ]
    return "\n".join(
        [
            f"# Walk-forward report: {model}",
            "",
            f"{len(lines)} versions, sessions {figures['first']} to {figures['last']}, {figures['n']:,} rows; "
            "each row is judged by the newest version that had been trained before it was decided.",
            "",
            f"- AUC {with_interval(figures['auc'])}; on average the versions' studies had found "
            f"{number(figures['study_auc'])}.",
            f"- Above the naive forecast ({name}, AUC {number(figures['naive_auc'])}) by "
            f"{with_interval(figures['auc_vs_naive'], '+.4f')}; {figures['version_share_above_naive']:.0%} of the "
            f"versions are above it; the worst is version {figures['worst_version']}.",
            f"- Accuracy {with_interval(figures['accuracy'])}, Brier {with_interval(figures['brier'])} "
            f"({figures['brier_vs_base_rate']:+.4f} against the base rate).",
            f"- Acting on it: {traded['net_return']:+.2%} of a constant stake after costs in {traded['days']} days, "
            f"net Sharpe ratio {with_interval(traded['sharpe_net'], '.2f')}.",
            "",
            table(head, lines),
            "",
        ]
    )
