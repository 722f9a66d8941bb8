"""Data beside the bars: the release calendar and policy rates, read from a user's files and checked.

Everything that could poison a feature is refused here, with file, row, column, value and remedy. What the features do
with it is in economic.py and rates.py.

economic: time (of the release, UTC), currency, event, impact (1 low, 2 medium, 3 high); optional available_at (when
    `actual` was known; default: time), actual, forecast, previous (numbers; empty where there is none). List scheduled
    releases only: their times count as known in advance.
rates: available_at (UTC, from when the rate was known), currency, rate (policy rate in percent).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from fx_assets.errors import DataError

ECONOMIC = ("time", "available_at", "currency", "event", "impact", "actual", "forecast", "previous")
RATES = ("available_at", "currency", "rate")
IMPACTS = {"low": 1, "medium": 2, "high": 3, "1": 1, "2": 2, "3": 3, "1.0": 1, "2.0": 2, "3.0": 3}
UTC_TIME = "datetime64[us, UTC]"


@dataclass(frozen=True, eq=False)
class Reference:
    """A release calendar and policy rates; None for what there is not. Both are checked and sorted.

    Raises DataError for a frame that cannot be used.
    """

    economic: pd.DataFrame | None = None
    rates: pd.DataFrame | None = None

    def __post_init__(self) -> None:
        if self.economic is not None:
            object.__setattr__(self, "economic", checked_economic(self.economic))
        if self.rates is not None:
            object.__setattr__(self, "rates", checked_rates(self.rates))

    @classmethod
    def read(cls, economic: Path | str | None = None, rates: Path | str | None = None) -> Reference:
        """From files (CSV, Parquet, NDJSON, also .gz). Raises DataError naming file, row, column and remedy."""
        return cls(None if economic is None else read_economic(economic), None if rates is None else read_rates(rates))

    @cached_property
    def provides(self) -> frozenset[str]:
        """Which of the tokens economic and rates (FeatureSpec.requires) there is data for."""
        return frozenset(name for name in ("economic", "rates") if getattr(self, name) is not None)

    @cached_property
    def prepared(self) -> dict[object, object]:
        """What the features work out of the tables once and keep, by their own keys."""
        return {}


def read_economic(path: Path | str) -> pd.DataFrame:
    """A release calendar from a file: the columns ECONOMIC, sorted by time. Raises DataError."""
    return checked_economic(_rows(path), str(path))


def read_rates(path: Path | str) -> pd.DataFrame:
    """Policy rates from a file: the columns RATES, sorted by available_at. Raises DataError."""
    return checked_rates(_rows(path), str(path))


def checked_economic(frame: pd.DataFrame, name: str = "economic") -> pd.DataFrame:
    """The calendar with the columns ECONOMIC, typed and sorted. `name` is how errors call it; rows are index values."""
    raw = _columns(frame, name, ("time", "currency", "event", "impact"), ECONOMIC)
    table = pd.DataFrame({"time": _times(raw["time"], name, "time")})
    if "available_at" in raw:
        given = raw["available_at"].where(~_blank(raw["available_at"]), raw["time"])
        table["available_at"] = _times(given, name, "available_at")
        early = table["available_at"] < table["time"]
        if early.any():
            what = "lies before the release's time; write when the figure became known, or leave it empty"
            raise _problem(name, raw["available_at"], early, "available_at", what)
    else:
        table["available_at"] = table["time"]
    table["currency"] = _currencies(raw["currency"], name)
    table["event"] = _texts(raw["event"], name)
    impact = raw["impact"].astype(str).str.strip().str.lower().map(IMPACTS)
    if impact.isna().any():
        raise _problem(
            name, raw["impact"], impact.isna(), "impact", "is not 1, 2 or 3 (or low, medium, high); mend the row"
        )
    table["impact"] = impact.astype("int64")
    for column in ("actual", "forecast", "previous"):
        table[column] = _numbers(raw[column], name, column) if column in raw else np.nan
    repeated = table.duplicated(["time", "currency", "event"])
    if repeated.any():
        raise _problem(name, table["event"], repeated, "event", "comes twice at this time and currency; keep one row")
    return table.sort_values(["time", "currency", "event"], kind="stable").reset_index(drop=True)


def checked_rates(frame: pd.DataFrame, name: str = "rates") -> pd.DataFrame:
    """Policy rates with the columns RATES, typed and sorted. `name` is how errors call it; rows are index values."""
    raw = _columns(frame, name, RATES, RATES)
    table = pd.DataFrame({"available_at": _times(raw["available_at"], name, "available_at")})
    table["currency"] = _currencies(raw["currency"], name)
    table["rate"] = _numbers(raw["rate"], name, "rate")
    if table["rate"].isna().any():
        raise _problem(name, raw["rate"], table["rate"].isna(), "rate", "is missing; write the rate in percent")
    repeated = table.duplicated(["available_at", "currency"])
    if repeated.any():
        raise _problem(name, table["currency"], repeated, "currency", "has two rates at this time; keep one row")
    return table.sort_values(["available_at", "currency"], kind="stable").reset_index(drop=True)


def _rows(path: Path | str) -> pd.DataFrame:
    from fx_assets.sources.candle_file import read_rows

    return read_rows(Path(path))


def _columns(frame: pd.DataFrame, name: str, needed: Iterable[str], known: Iterable[str]) -> pd.DataFrame:
    raw = frame.rename(columns=lambda column: str(column).strip().lower())
    # A reader of CSV calls the second `actual` actual.1.
    again = {
        column for column in raw.columns if column.rpartition(".")[0] in raw and column.rpartition(".")[2].isdigit()
    }
    if twice := sorted({*raw.columns[raw.columns.duplicated()], *(column.rpartition(".")[0] for column in again)}):
        raise DataError(f"{name}: column {', '.join(twice)} comes twice. Remove all but one.")
    if missing := [column for column in needed if column not in raw]:
        raise DataError(
            f"{name}: column(s) {', '.join(missing)} missing; found {', '.join(raw.columns) or 'none'}. "
            f"Use the columns {', '.join(known)}."
        )
    if not raw.index.is_unique:
        raw = raw.reset_index(drop=True)
    return raw


def _problem(name: str, raw: pd.Series, bad: pd.Series, column: str, what: str) -> DataError:
    row = bad.idxmax()
    return DataError(f"{name}: row {row}: {column} {str(raw.loc[row])!r} {what}. {int(bad.sum())} such rows.")


def _blank(raw: pd.Series) -> pd.Series:
    return raw.isna() | (raw.astype(str).str.strip() == "")


def _times(raw: pd.Series, name: str, column: str) -> pd.Series:
    remedy = "; write times as ISO 8601 with their offset, such as 2021-03-01T12:00:00Z"
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        times = raw.dt.tz_convert("UTC")
    else:
        text = raw.map(lambda value: value.isoformat() if isinstance(value, pd.Timestamp) else str(value).strip())
        text = text.astype(object)  # a column without rows may be of any type
        zoned = text.str.contains(r":.*\d(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$", regex=True)
        if not zoned.all():
            raise _problem(name, raw, ~zoned, column, f"is no time with a time zone{remedy}")
        times = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    if times.isna().any():
        raise _problem(name, raw, times.isna(), column, f"cannot be read{remedy}")
    return times.astype(UTC_TIME)


def _currencies(raw: pd.Series, name: str) -> pd.Series:
    codes = raw.astype(str).str.strip().str.upper()
    bad = ~codes.str.fullmatch(r"[A-Z]{3}")
    if bad.any():
        raise _problem(name, raw, bad, "currency", "is not the code of a currency; write one such as USD")
    return codes


def _texts(raw: pd.Series, name: str) -> pd.Series:
    if _blank(raw).any():
        raise _problem(name, raw, _blank(raw), "event", "is empty; name the release")
    return raw.astype(str).str.strip()


def _numbers(raw: pd.Series, name: str, column: str) -> pd.Series:
    """float64, NaN where there is none."""
    blank = _blank(raw)
    numbers = pd.to_numeric(raw.where(~blank), errors="coerce").astype("float64")
    bad = ~blank & ~np.isfinite(numbers)
    if bad.any():
        raise _problem(name, raw, bad, column, "is not a number; write it plainly, such as 0.3, or leave it empty")
    return numbers
