"""What tells a broken feed from another market: every finding in words, with the figure behind it.

A market that changes moves many features, in every instrument, to values that a market can have. A broken feed leaves
values out, repeats them, makes them impossible, lets them grow old, or does so to one instrument alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

import numpy as np
import pandas as pd

from fx_assets.market_hours import Hours
from fx_monitoring.configuration.drift import FeedLimits
from fx_monitoring.drift.report import DriftReport, FeatureDrift, InstrumentDrift

#: Impossible values (psi.IMPLAUSIBLE): fewer may be one bad bar.
LEAST_IMPLAUSIBLE = 5
#: A feature repeats its last value more rarely than this in training: then a run of repetitions is news.
_MOVING = 0.05
#: Rows an instrument needs before its repetitions are looked at.
_LEAST_ROWS = 20
_NAMED = 4


def evidence(
    report: DriftReport,
    reference: pd.DataFrame,
    window: pd.DataFrame,
    limits: FeedLimits,
) -> list[str]:
    """What in the values speaks of a broken feed; empty where nothing does, or too few rows were asked to say so.

    window: the distinct rows (predictions.distinct_rows), in time order, and so is the reference.
    """
    if report.rows < limits.min_rows:
        return []
    return [
        *_named("missing", report.features, lambda f: _missing(f, limits), lambda f: f"{f.missing_share_cur:.0%}"),
        *_named(
            "implausible values of",
            report.features,
            lambda f: f.implausible > limits.implausible_share and f.implausible * report.rows >= LEAST_IMPLAUSIBLE,
            lambda f: f"{f.implausible:.1%} far outside the range of training",
        ),
        *stale(reference, window, [f.feature for f in report.features], limits.stale_share),
    ]


def alone(instruments: Mapping[str, InstrumentDrift]) -> list[str]:
    """One instrument that drifts while at least two others are quiet: a market moves more than one."""
    loud = [name for name, drift in instruments.items() if drift.level in ("moderate", "critical")]
    quiet = [name for name, drift in instruments.items() if drift.level in ("none", "minor")]
    if len(loud) != 1 or len(quiet) < 2:
        return []
    return [f"{loud[0]} alone drifts ({instruments[loud[0]].level}); {', '.join(quiet)} do not"]


def stale(reference: pd.DataFrame, window: pd.DataFrame, features: Sequence[str], limit: float) -> list[str]:
    """Features that hardly ever repeat a value in training and now repeat it in more than `limit` of the rows."""
    usual = repeats(reference, features)
    now = repeats(window, features, _LEAST_ROWS)
    if usual.empty or now.empty:
        return []
    moving = usual.max() < _MOVING
    told = []
    for symbol, shares in now.iterrows():
        stuck = [name for name in features if moving[name] and shares[name] > limit]
        if stuck:
            whose = f" of {symbol}" if len(now) > 1 else ""
            told.append(
                f"stale{whose}: {_some(stuck)} repeat their last value in {shares[stuck].max():.0%} of the rows"
            )
    return told


def repeats(frame: pd.DataFrame, features: Sequence[str], least: int = 2) -> pd.DataFrame:
    """A row an instrument: the share of its rows, in order, that have the value of the row before, by feature.

    What is missing repeats nothing. Instruments with fewer than `least` rows are left out.
    """
    parts = frame.groupby("instrument", sort=True) if "instrument" in frame.columns else [("all", frame)]
    made = {}
    for symbol, part in parts:
        if len(part) >= max(least, 2):
            values = part[list(features)].to_numpy(np.float64, na_value=np.nan)
            made[str(symbol)] = np.mean(values[1:] == values[:-1], axis=0)
    return pd.DataFrame.from_dict(made, orient="index", columns=list(features))


def frozen(asked: pd.DataFrame, window: pd.DataFrame, hours: Callable[[str], Hours], open_hours: float) -> list[str]:
    """Instruments that were asked about over more than `open_hours` of open market and whose inputs never changed.

    asked: the predictions, all of them, with instrument and timestamp; window: their distinct rows.
    """
    told = []
    if asked.empty or "instrument" not in window.columns:
        return told
    rows = window.groupby("instrument").size()
    for symbol, part in asked.groupby("instrument", sort=True):
        first, last = part["timestamp"].min(), part["timestamp"].max()
        if rows.get(symbol, 0) <= 1 and open_time(hours(str(symbol)), first, last) > open_hours:
            told.append(f"{symbol}: the same inputs from {first:%Y-%m-%d %H:%M} to {last:%H:%M} UTC")
    return told


def data_age_h(asked: pd.DataFrame, hours: Callable[[str], Hours]) -> float | None:
    """Open market hours between the features and the decision, of each instrument's newest prediction: the largest.

    Requests that bring features of their own say nothing about the feed. None where none are left.
    """
    if asked.empty or not {"feature_time", "timestamp", "instrument"} <= set(asked.columns):
        return None
    told = asked[asked["feature_time"].notna()]
    if "overridden" in told.columns:
        told = told[told["overridden"] == 0]
    if told.empty:
        return None
    newest = told.loc[told.groupby("instrument")["timestamp"].idxmax()]
    moments = zip(newest["instrument"], newest["feature_time"], newest["timestamp"], strict=True)
    return max(open_time(hours(str(symbol)), made, asked_at) for symbol, made, asked_at in moments)


def open_time(hours: Hours, start: pd.Timestamp, end: pd.Timestamp) -> float:
    """Hours between two moments in which the market is open; 0 where the second is not later."""
    if not end > start:
        return 0.0
    spans = hours.open_intervals(start.to_pydatetime(), end.to_pydatetime())
    return float((spans["close"] - spans["open"]).sum() / timedelta(hours=1)) if len(spans) else 0.0


def quarantined(kept: int, refused: int, limit: float) -> list[str]:
    """A session whose candles were refused in numbers. kept, refused: rows of silver/candles and silver/quarantine."""
    share = refused / (kept + refused) if kept + refused else 0.0
    return [f"{share:.0%} of the session's candles are in quarantine"] if share > limit else []


def _missing(drift: FeatureDrift, limits: FeedLimits) -> bool:
    usual = max(drift.missing_share_ref, drift.missing_noise)
    return drift.missing_share_cur > usual + limits.missing_jump


def _named(
    what: str,
    features: Sequence[FeatureDrift],
    broken: Callable[[FeatureDrift], bool],
    how: Callable[[FeatureDrift], str],
) -> list[str]:
    found = [feature for feature in features if broken(feature)]
    return [f"{what} {_some([f.feature for f in found])}: {how(found[0])}"] if found else []


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
