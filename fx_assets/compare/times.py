"""Times of any writing as UTC: text, stamps with and without a zone, and numbers since 1970."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.schemas import UTC_TIME

_ZONED = r":.*\d(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"
_REMEDY = "Say which with --time-zone, such as --time-zone Europe/London, or time_zone in the mapping file"


def utc(where: str, values: pd.Series, zone: str | None, unit: str | None = None) -> pd.Series:
    """Microseconds in UTC; missing stays missing. zone: of times that carry none. unit: of numbers.

    Raises DataError with file, value and remedy.
    """
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return values.dt.tz_convert("UTC").astype(UTC_TIME)
    if pd.api.types.is_datetime64_any_dtype(values):
        return _localized(where, values, zone)
    if pd.api.types.is_numeric_dtype(values) and values.notna().any():
        if unit is None:
            raise DataError(
                f"{where}: {values.iloc[0]!r} is a number, not a time. "
                "If it counts from 1970, say its time_unit (s, ms, us or ns) in the mapping file."
            )
        return pd.to_datetime(values, unit=unit, utc=True).astype(UTC_TIME)  # type: ignore[arg-type]
    text = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    text = text.str.replace(r"\s*UTC$", "Z", regex=True)
    there = (text != "").to_numpy()
    zoned = text.str.contains(_ZONED, regex=True).to_numpy()
    if zoned[there].any() and not zoned[there].all():
        row = text[there & ~zoned].iloc[0]
        raise DataError(f"{where}: {row!r} has no time zone, and other rows have one. Write all times with it.")
    if zoned.any():
        found = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601").astype(UTC_TIME)
    else:
        naive = pd.to_datetime(text, errors="coerce", format="ISO8601")
        _check_read(where, text, naive, there)
        return _localized(where, naive, zone)
    _check_read(where, text, found, there)
    return found


def _check_read(where: str, text: pd.Series, found: pd.Series, there: np.ndarray) -> None:
    bad = found.isna().to_numpy() & there
    if bad.any():
        raise DataError(
            f"{where}: {text[bad].iloc[0]!r} is not a time; {int(bad.sum())} such rows. "
            "Write times as ISO 8601, such as 2021-03-01T12:00:00Z."
        )


def _localized(where: str, naive: pd.Series, zone: str | None) -> pd.Series:
    if zone is None and naive.notna().any():
        raise DataError(f"{where}: {naive.dropna().iloc[0]} has no time zone. {_REMEDY}.")
    # An hour that the clocks skip or have twice gives no moment.
    found = naive.dt.tz_localize(zone or "UTC", ambiguous="NaT", nonexistent="NaT")  # type: ignore[arg-type]
    lost = found.isna() & naive.notna()
    if lost.any():
        raise DataError(
            f"{where}: {naive[lost].iloc[0]}: the clocks of {zone} skip this hour or have it twice; {int(lost.sum())} "
            "such rows. Write times with their offset, such as 2021-03-01T12:00:00+00:00."
        )
    return found.dt.tz_convert("UTC").astype(UTC_TIME)
