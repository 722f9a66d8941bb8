"""The rows of prediction_quality: their fields, the record and the file they are kept in, and how others read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from fx_assets.lake import Lake
from fx_monitoring.stored import record, session_in
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

FORMAT = 1
ASSET = "prediction_quality"
RECORD = f"monitoring/{ASSET}"
ALL = "all"
#: How many sessions of the calendar each window has, its newest one included; short ones first.
WINDOWS: dict[str, int] = {"session": 1, "5d": 5, "20d": 20}
#: So many of the newest records are looked through for a model.
SEARCHED = 20

Verdict = Literal["good", "worse", "inconclusive"]


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the model card states, of rows out of fold; *_low and *_high: the ends of its intervals that are used."""

    accuracy: float | None
    auc: float | None
    brier: float | None
    ece: float | None
    accuracy_low: float | None = None
    auc_low: float | None = None
    brier_high: float | None = None


class QualityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One version's answers on one instrument (or all) in one window, held against what happened.

    One answer for each bar and instrument counts: the first. pending: bars whose outcome is not known yet. feedback: of
    `n`, those known from feedback. A figure that cannot be computed is None. docs/prediction-quality.md defines each.
    """

    session: str
    model: str
    version: str
    serving: bool
    instrument: str
    window: str
    n: int
    n_effective: float
    blocks: int
    pending: int
    feedback: int
    base_rate: float | None = None
    mean_prediction: float | None = None
    accuracy: float | None = None
    accuracy_low: float | None = None
    accuracy_high: float | None = None
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    brier: float | None = None
    brier_low: float | None = None
    brier_high: float | None = None
    ece: float | None = None
    ece_noise: float | None = None
    calibration_slope: float | None = None
    calibration_slope_low: float | None = None
    calibration_slope_high: float | None = None
    expected: Expected | None = None
    drop_relative: float | None = None
    brier_rise_relative: float | None = None
    quality_worse: bool = False
    calibration_worse: bool = False
    verdict: Verdict = "inconclusive"
    reasons: tuple[str, ...] = ()


def headline(rows: Iterable[QualityRow]) -> QualityRow | None:
    """The row that stands for a model: the serving version on all instruments, in the shortest window in which it is
    worse; where it is in none, in the longest with outcomes, else the longest. None without a serving version.
    """
    own = [row for row in rows if row.serving and row.instrument == ALL]
    worse = [row for row in own if row.verdict == "worse"]
    if worse:
        return min(worse, key=lambda row: WINDOWS[row.window])
    return max(own, key=lambda row: (row.n > 0, WINDOWS[row.window]), default=None)


def latest(lake: Lake, model: str) -> list[QualityRow]:
    """The rows of the newest session that has any of the model; none where no record has."""
    for key in reversed(record_keys(lake)[-SEARCHED:]):
        found = [row for row in read_rows(lake, key) if row.model == model]
        if found:
            return found
    return []


def record_keys(lake: Lake) -> list[str]:
    """The sessions that have a record, sorted."""
    paths = (path.rsplit("/", 2) for path in lake.store.list(RECORD) if path.endswith("/record.json"))
    return sorted(parts[1].removeprefix("session=") for parts in paths if parts[0] == RECORD)


def read_rows(lake: Lake, session: str) -> list[QualityRow]:
    """The rows of one session's record; none where there is no record. Raises StoreError for a damaged one."""
    return msgspec.convert((record(lake, ASSET, session) or {}).get("rows", []), list[QualityRow])


def read_history(lake: Lake, model: str, before: str, sessions: int) -> list[QualityRow]:
    """A model's rows of the last records before a session, oldest first."""
    keys = [key for key in record_keys(lake) if key < before][-sessions:]
    return [row for key in keys for row in read_rows(lake, key) if row.model == model]


def plain(rows: Iterable[QualityRow]) -> list[dict[str, Any]]:
    """Rows as a record holds them."""
    return msgspec.to_builtins(list(rows))


def write_status(
    stores: Stores, model: str, session: str, rows: Sequence[QualityRow], at: datetime | None = None
) -> bool:
    """Replace the file of the newest figures of a model by its serving version's rows; False where the file tells of a
    newer session, and stays.
    """
    path = stores.quality / f"{model}.json"
    if session_in(path) > session:
        return False
    served = [row for row in rows if row.model == model and row.serving]
    told = headline(served)
    status = {
        "format": FORMAT,
        "model": model,
        "session": session,
        "version": told.version if told else None,
        "verdict": told.verdict if told else "inconclusive",
        "at": (at or datetime.now(UTC)).astimezone(UTC).isoformat(),
        "rows": plain(served),
    }
    atomic_write(path, msgspec.json.format(msgspec.json.encode(status), indent=1) + b"\n")
    return True
