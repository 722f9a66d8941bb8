"""The rows of prediction_quality for one session: every model, version, instrument and window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import pandas as pd

from fx_assets.lake import Lake
from fx_assets.models.report import CALIBRATION_BINS, calibration
from fx_monitoring.configuration.quality import QualityPolicy
from fx_monitoring.quality.figures import measure
from fx_monitoring.quality.rows import ALL, WINDOWS, Expected, QualityRow
from fx_monitoring.quality.verdict import judge

TABLE = "monitoring/predictions"
READ = [
    "model",
    "version",
    "instrument",
    "timestamp",
    "decision_time",
    "label_end",
    "prediction",
    "outcome",
    "outcome_source",
]
#: One answer for each of these counts: a client that asks a hundred times about one bar says nothing new.
ONE_OF = ["model", "version", "instrument", "decision_time"]

NEVER_AFTER = pd.Timedelta(days=1)

ExpectedOf = Callable[[str, str], Expected | None]


def recent(lake: Lake, calendar: Sequence[str], session: str) -> pd.DataFrame:
    """The answers of the longest window that ends with `session`: READ and session, the first of each bar.

    calendar: all sessions, sorted. Sessions that were not made, or were before outcomes were kept, are left out.
    """
    keys = window_keys(calendar, session, max(WINDOWS.values()))
    parts = []
    for key, frame in lake.read(TABLE, keys, READ).items():
        if set(READ) <= set(frame.columns):
            parts.append(first_answers(frame).assign(session=key))
    filled = [part for part in parts if len(part)] or parts[:1]
    if not filled:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in [*READ, "session"]})
    return pd.concat(filled, ignore_index=True)


def first_answers(frame: pd.DataFrame) -> pd.DataFrame:
    """The first answer of each version on each bar and instrument."""
    return frame.sort_values("timestamp", kind="stable").drop_duplicates(ONE_OF, ignore_index=True)


def window_keys(calendar: Sequence[str], session: str, length: int) -> list[str]:
    """The `length` sessions of the calendar that end with `session`."""
    return [key for key in calendar if key <= session][-length:]


def serving_version(answers: pd.DataFrame) -> str:
    """The version of a model that gave most of the answers of the newest session with any."""
    newest = answers[answers["session"] == answers["session"].max()]
    return str(newest["version"].value_counts(sort=True).index[0])


def quality_rows(
    answers: pd.DataFrame,
    calendar: Sequence[str],
    session: str,
    horizons: Mapping[str, float],
    expected_of: ExpectedOf,
    policy: QualityPolicy,
    at: datetime,
) -> list[QualityRow]:
    """Every row of a session, the serving version first; a window in which a version gave no answer has none.

    answers: of `recent`. horizons: minutes by model; of a model that is not configured any more, an hour is taken.
    at: aware, the data clock's now. A label that should have been known for NEVER_AFTER and is not does not exist, as
    over a weekend: it is not pending.
    """
    open_since = pd.Timestamp(at) - NEVER_AFTER
    found: list[QualityRow] = []
    for model, own in answers.groupby("model", sort=True):
        serving = serving_version(own)
        versions = sorted(own["version"].unique(), key=lambda version: (version != serving, version))
        for version in versions:
            given = own[own["version"] == version]
            expected = expected_of(str(model), str(version))
            for window, length in WINDOWS.items():
                inside = given[given["session"].isin(window_keys(calendar, session, length))]
                if inside.empty:
                    continue
                parts = [(ALL, inside), *inside.groupby("instrument", sort=True)]
                for instrument, rows in parts:
                    known = rows[rows["outcome"].notna()]
                    pending = rows["outcome"].isna() & ~(rows["label_end"] <= open_since)
                    figures = measure(known, horizons.get(str(model), 60.0))
                    found.append(
                        QualityRow(
                            session=session,
                            model=str(model),
                            version=str(version),
                            serving=version == serving,
                            instrument=str(instrument),
                            window=window,
                            pending=int(pending.sum()),
                            feedback=int((known["outcome_source"] == "feedback").sum()),
                            expected=expected,
                            **figures,
                            **judge(figures, expected, policy),
                        )
                    )
    return found


def curves(answers: pd.DataFrame, model: str) -> dict[str, list[dict[str, float]]]:
    """The calibration curve of each version of a model over the longest window: predicted, observed and rows of ten
    bins of equal count, by version; a version with fewer than two known outcomes a bin has none.
    """
    known = answers[(answers["model"] == model) & answers["outcome"].notna()]
    found = {}
    for version, rows in known.groupby("version", sort=True):
        if len(rows) >= 2 * CALIBRATION_BINS:
            bins = calibration(rows.assign(label=rows["outcome"]))
            names = ("predicted", "observed", "rows")
            found[str(version)] = [{name: float(bins[name].iloc[k]) for name in names} for k in range(len(bins))]
    return found
