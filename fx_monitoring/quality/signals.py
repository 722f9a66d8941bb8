"""What acting on a session's answers would have earned: hits, trades, and value after spread and swap, by instrument.

The rules are the study's own (evaluation.positions and evaluation.backtest): a position is decided at a bar's close by
the model's threshold, entered `latency_bars` later at that bar's price and spread, and held to its label's end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from fx_assets.configuration import Model
from fx_assets.evaluation import costs
from fx_assets.evaluation.backtest import simulate
from fx_assets.evaluation.positions import positions
from fx_assets.models.report import table
from fx_monitoring.quality.rows import ALL

#: A side is the last move's sign where the label does not say which way, as in the study.
LAST_MOVE = "log_return_1"
_Z = 1.959964


@dataclass(frozen=True)
class Session:
    """One session of one model and source. answers: one a bar: instrument, decision_time, label_end, prediction and
    outcome.

    labels: of outcomes.decided, of this session and the one after it, where an answer may still be entered. sides:
    instrument, decision_time, LAST_MOVE. costs: a table of evaluation.costs. at: the data clock's now (aware).
    """

    model: str
    source: str
    entry: Model
    answers: pd.DataFrame
    labels: pd.DataFrame
    sides: pd.DataFrame
    costs: pd.DataFrame
    bar_minutes: int
    at: datetime


def validate(session: Session) -> list[dict[str, Any]]:
    """One row for all instruments and one for each.

    model, source, instrument, answers, known (their outcome is), pending (it is not known yet; the rest has no label,
    as over a weekend), right (the more probable side happened), hit_rate with its Wilson interval, base_rate, signals
    (answers beyond the threshold), trades, won, gross, cost and net (shares of the instrument's capital, of `all` their
    mean), open (signals that could not be traded: entry or outcome is not known).
    """
    bars = _bars(session)
    parts = [_row(session, ALL, session.answers, bars)]
    for instrument, own in session.answers.groupby("instrument", sort=True):
        parts.append(_row(session, str(instrument), own, bars[bars["instrument"] == instrument]))
    return parts


def acted(model: str, source: str, decisions: pd.DataFrame, at: datetime) -> list[dict[str, Any]]:
    """The same rows of what was really decided and filled. decisions: of trading.session.decided, with label_end and
    outcome. trades are closed orders, open those that are not closed yet.
    """
    count = decisions["instrument"].nunique()
    parts = [_acted(model, source, ALL, decisions, at, count)]
    for instrument, own in decisions.groupby("instrument", sort=True):
        parts.append(_acted(model, source, str(instrument), own, at, 1))
    return parts


def _acted(model: str, source: str, instrument: str, own: pd.DataFrame, at: datetime, books: int) -> dict[str, Any]:
    closed = own[own["gross"].notna()]
    gross, cost = float(closed["gross"].sum()) / books, float(closed["cost"].sum()) / books
    return {
        **_hits(model, source, instrument, own, at),
        "signals": int((own["position"] != 0).sum()),
        "trades": len(closed),
        "won": int((closed["gross"] > closed["cost"]).sum()),
        "gross": gross,
        "cost": cost,
        "net": gross - cost,
        "open": int(own["waits"].sum()),
    }


def _bars(session: Session) -> pd.DataFrame:
    """Every bar an answer may be entered at, with the position decided on it (0 where nothing was answered)."""
    key = ["instrument", "decision_time"]
    answered = session.answers[[*key, "prediction"]]
    bars = session.labels.merge(answered, on=key, how="left").merge(session.sides, on=key, how="left")
    bars = bars[bars["instrument"].isin(set(answered["instrument"]))].reset_index(drop=True)
    side = np.sign(np.nan_to_num(bars[LAST_MOVE].to_numpy(float)))
    p = bars["prediction"].to_numpy(float)
    taken = positions(session.entry.label.kind, p, session.entry.strategy.threshold, side=side)
    return bars.assign(position=np.where(np.isnan(p), 0.0, taken))


def _row(session: Session, instrument: str, answers: pd.DataFrame, bars: pd.DataFrame) -> dict[str, Any]:
    return {
        **_hits(session.model, session.source, instrument, answers, session.at),
        "signals": int((bars["position"] != 0).sum()),
        **_value(session, bars),
    }


def _hits(model: str, source: str, instrument: str, answers: pd.DataFrame, at: datetime) -> dict[str, Any]:
    """Answers against what happened."""
    known = answers[answers["outcome"].notna()]
    right = int(((known["prediction"] >= 0.5) == (known["outcome"] > 0.5)).sum())
    low, high = wilson(right, len(known))
    return {
        "model": model,
        "source": source,
        "instrument": instrument,
        "answers": len(answers),
        "known": len(known),
        "pending": int((answers["outcome"].isna() & ~(answers["label_end"] <= pd.Timestamp(at))).sum()),
        "right": right,
        "hit_rate": right / len(known) if len(known) else None,
        "hit_rate_low": low,
        "hit_rate_high": high,
        "base_rate": float(known["outcome"].mean()) if len(known) else None,
    }


def _value(session: Session, bars: pd.DataFrame) -> dict[str, Any]:
    """What the positions earned; nothing where no bar's outcome is known."""
    traded = bars[bars["forward_return"].notna() & (bars["label_end"] > bars["decision_time"])]
    signals = int((bars["position"] != 0).sum())
    if traded.empty or not (traded["position"] != 0).any():
        return {"trades": 0, "won": 0, "gross": 0.0, "cost": 0.0, "net": 0.0, "open": signals}
    strategy = session.entry.strategy
    names = sorted(traded["instrument"].unique())
    run = simulate(
        traded["position"].to_numpy(float),
        traded["forward_return"].to_numpy(float),
        costs.for_rows(session.costs, traded),
        _moments(traded["decision_time"]),
        traded["instrument"].to_numpy(str),
        end=_moments(traded["label_end"]),
        latency=strategy.latency_bars,
        bar=np.timedelta64(session.bar_minutes, "m"),
        swap_per_day=strategy.swaps(names),
    )
    held = run.held
    gross = float(held["gross"].sum()) / len(names)
    cost = float((held["entry_cost"] + held["exit_cost"] + held["swap"]).sum()) / len(names)
    trades = run.trades
    return {
        "trades": len(trades),
        "won": int((trades["net_return"] > 0).sum()),
        "gross": gross,
        "cost": cost,
        "net": gross - cost,
        "open": int((bars["position"] != 0).sum() - (traded["position"] != 0).sum()),
    }


def wilson(hits: int, n: int) -> tuple[float | None, float | None]:
    """The 95 % score interval of a share (Wilson 1927); it takes the rows for independent, which bars of one hour are
    not quite: it is a lower bound of the uncertainty.
    """
    if not n:
        return None, None
    share, z2 = hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = _Z * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return float(middle - reach), float(middle + reach)


def signal_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as Markdown."""
    head = ("model", "source", "instrument", "answers", "known", "hits", "signals", "trades", "won")
    head += ("gross (bp)", "cost (bp)", "net (bp)", "open")
    return table(
        head,
        [
            [
                row["model"],
                row["source"],
                row["instrument"],
                str(row["answers"]),
                str(row["known"]),
                "-"
                if row["hit_rate"] is None
                else f"{row['hit_rate']:.1%} [{row['hit_rate_low']:.1%}, {row['hit_rate_high']:.1%}]",
                str(row["signals"]),
                str(row["trades"]),
                str(row["won"]),
                *(f"{1e4 * row[name]:+.2f}" for name in ("gross", "cost", "net")),
                str(row["open"]),
            ]
            for row in rows
        ],
    )


def _moments(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
