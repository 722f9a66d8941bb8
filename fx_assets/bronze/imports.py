"""A candle file into bronze: checked as a whole first, then one bronze file for each session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import GRANULARITY_MINUTES, Configuration
from fx_assets.errors import ConfigError, DataError
from fx_assets.sessions import session_keys
from fx_assets.sources.candle_file import longer_bars, read_candle_file


@dataclass(frozen=True)
class Imported:
    """What an import added: rows, the sessions they fall into, sorted, and what the user should know about them."""

    rows: int
    sessions: list[str]
    warnings: tuple[str, ...] = ()


def import_file(
    bronze: Bronze, configuration: Configuration, path: Path, instrument: str, granularity: str
) -> Imported:
    """Append a candle file to bronze. Nothing is written unless every row, and the configuration, fits it.

    Raises ConfigError for an instrument or granularity that instruments.yaml does not have, DataError for a file
    with bad rows, bars of another length, or sessions outside sessions.start and sessions.end; StoreError when it
    cannot be written, in which case nothing of it is there.
    """
    known = configuration.instruments.instruments
    if instrument not in known:
        raise ConfigError(
            f"instruments.yaml: no instrument '{instrument}'; it has {', '.join(known)}. "
            f"Add `{instrument}: {{granularity: {granularity}, sources: [import], typical_spread: ...}}` there."
        )
    if granularity not in GRANULARITY_MINUTES:
        raise ConfigError(f"--granularity: '{granularity}' is not one of {' '.join(GRANULARITY_MINUTES)}.")
    if known[instrument].granularity != granularity:
        raise ConfigError(
            f"instruments.yaml: {instrument}.granularity is {known[instrument].granularity}, "
            f"the file's is {granularity}. Change one of them."
        )
    rows = read_candle_file(path)
    _check_grid(path, rows, GRANULARITY_MINUTES[granularity])
    keys = session_keys(rows["time"], configuration.all_week)
    _check_range(path, configuration, keys)
    bronze.append_sessions(
        CANDLES, instrument, f"import:{path.name}", rows.assign(complete=True), keys, datetime.now(UTC)
    )
    return Imported(len(rows), sorted(keys.unique()), _warnings(path, rows))


def _warnings(path: Path, rows: pd.DataFrame) -> tuple[str, ...]:
    # read_candle_file refuses a volume that is missing in some rows only.
    if "volume" in rows.columns:
        return ()
    return (
        f"{path}: there is no volume. Volume features are among a model's inputs, and rows without them are left out "
        "of training. Export the file with its (tick) volume and import it again.",
    )


def _check_grid(path: Path, rows: pd.DataFrame, minutes: int) -> None:
    """Bars must start on multiples of their length and be that far apart: longer ones would be known too early."""
    if len(rows) > 1 and (shortest := pd.Timedelta(rows["time"].diff().min())) < pd.Timedelta(minutes=minutes):
        raise DataError(
            f"{path}: two rows are only {shortest} apart, bars of {minutes} minutes cannot be. "
            "State the file's own granularity."
        )
    if (usual := longer_bars(rows["time"], minutes)) is not None:
        raise DataError(
            f"{path}: rows are usually {usual} apart, bars of {minutes} minutes are not. "
            "State the file's own granularity."
        )
    step = min(minutes, 60) * 60_000_000
    off = pd.DatetimeIndex(rows["time"]).as_unit("us").astype("int64") % step != 0
    if off.any():
        raise DataError(
            f"{path}: {int(off.sum())} rows do not start on a multiple of the bar length, the first at "
            f"{rows['time'][off].iloc[0]}. `time` must be the bar's open; check the granularity."
        )


def _check_range(path: Path, configuration: Configuration, keys: pd.Index) -> None:
    sessions = configuration.instruments.sessions
    first, last = keys.min(), keys.max()
    start, end = sessions.start.isoformat(), sessions.end.isoformat() if sessions.end else None
    if first < start or (end is not None and last > end):
        raise DataError(
            f"{path}: holds sessions {first} to {last}, instruments.yaml has {start} to {end or 'now'}. "
            f"Set sessions.start{' and sessions.end' if end is not None and last > end else ''} there to cover them."
        )
