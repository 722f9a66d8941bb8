"""A user's own candle file (CSV, Parquet, NDJSON, also gzipped) as a checked frame.

Everything that could poison what is computed from it is refused here, with file, row and remedy, before any of
it is used. Nothing is repaired silently.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.schemas import UTC_TIME

TIME_NAMES = ("time", "timestamp", "datetime", "date")
ALIASES = {
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "tick_volume": "volume",
    "bid_c": "bid_close",
    "ask_c": "ask_close",
    **{f"mid_{short}": name for short, name in zip("ohlc", ("open", "high", "low", "close"), strict=True)},
}
PRICES = ("open", "high", "low", "close")
OPTIONAL = ("volume", "bid_close", "ask_close")
MIN_GAPS, MULTIPLES = 2, 0.9  # when gaps tell of longer bars: see longer_bars


def read_candle_file(path: Path | str, gaps: bool = False) -> pd.DataFrame:
    """One instrument's candles: time (datetime64[us, UTC], bar open, strictly rising), open, high, low, close,
    and volume, bid_close, ask_close where the file has them. Files with only bid and ask get their middle.

    gaps: volume, bid_close and ask_close may be empty in some rows or all, which gives NaN; else that is refused.

    Raises DataError naming file, row (as a text editor counts lines, for text files; from 0 in Parquet) and remedy.
    """
    path = Path(path)
    raw = read_rows(path)
    raw.columns = [str(name).strip().lower() for name in raw.columns]
    raw = raw.rename(columns={k: v for k, v in ALIASES.items() if k in raw.columns and v not in raw.columns})
    if twice := sorted(set(raw.columns[raw.columns.duplicated()])):
        raise DataError(f"{path}: more than one column means {', '.join(twice)}. Remove all but one.")
    raw = _middle(path, raw)
    time_name = next((name for name in TIME_NAMES if name in raw.columns), None)
    missing = [name for name in PRICES if name not in raw.columns]
    if time_name is None or missing:
        raise DataError(
            f"{path}: needs columns time, open, high, low, close (optional: {', '.join(OPTIONAL)}); "
            f"missing {', '.join((['time'] if time_name is None else []) + missing)}; "
            f"found {', '.join(raw.columns) or 'none'}. Rename the columns."
        )
    if raw.empty:
        raise DataError(f"{path}: has no rows. Export it again.")
    frame = pd.DataFrame({"time": _times(path, raw[time_name])})
    for name in (*PRICES, *(name for name in OPTIONAL if name in raw.columns)):
        frame[name] = _numbers(path, name, raw[name], gaps and name in OPTIONAL)
    if "complete" in raw.columns:
        _refuse_running(path, raw["complete"])
    _refuse_bad_rows(path, frame)
    return frame.reset_index(drop=True)


def read_rows(path: Path) -> pd.DataFrame:
    """A table file as it is; its index is the number by which a reader finds the row. Raises DataError."""
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] in (".gz", ".gzip")
    kind = next((s for s in reversed(suffixes) if s not in (".gz", ".gzip")), "")
    if kind not in READERS:
        raise DataError(f"{path}: '{kind or path.name}' is no known format. Use .csv, .ndjson or .parquet (also .gz).")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if packed else content
        if content.strip():
            return READERS[kind](content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path.") from None
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as {kind}: {error}. Export it again.") from None
    raise DataError(f"{path}: is empty. Export it again.")


def _read_csv(content: bytes) -> pd.DataFrame:
    # Blank lines are read too, so that the row numbers stay those of an editor. The last bit of a price counts.
    frame = pd.read_csv(io.BytesIO(content), skip_blank_lines=False, float_precision="round_trip", index_col=False)
    # As they are: pandas would tell two columns of one name apart, and the first would be taken for the only one.
    names = next(csv.reader([io.TextIOWrapper(io.BytesIO(content), "utf-8-sig").readline()]), [])
    if len(names) == len(frame.columns):
        frame.columns = [name or column for name, column in zip(names, frame.columns, strict=True)]
    frame.index = frame.index + 2
    return frame.dropna(how="all")


def _read_ndjson(content: bytes) -> pd.DataFrame:
    content = content.removeprefix(codecs.BOM_UTF8)
    lines = [(n, line) for n, line in enumerate(content.splitlines(), 1) if line.strip()]
    records = []
    for number, line in lines:
        try:
            records.append(msgspec.json.decode(line, type=dict[str, Any]))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from None
    return pd.DataFrame.from_records(records, index=[number for number, _ in lines])


def _read_parquet(content: bytes) -> pd.DataFrame:
    frame = pd.read_parquet(io.BytesIO(content))
    named = [name for name in frame.index.names if name is not None]
    return frame.reset_index(named).reset_index(drop=True)  # a frame saved with its times as the index


READERS: dict[str, Callable[[bytes], pd.DataFrame]] = {
    **dict.fromkeys((".csv", ".txt"), _read_csv),
    **dict.fromkeys((".ndjson", ".jsonl", ".json"), _read_ndjson),
    **dict.fromkeys((".parquet", ".pq"), _read_parquet),
}


def _middle(path: Path, raw: pd.DataFrame) -> pd.DataFrame:
    """Middle prices where a file has only bid and ask ones (bid_o, ask_o, bid_open, ...)."""
    for short, name in zip("ohlc", PRICES, strict=True):
        pairs = [(f"bid_{short}", f"ask_{short}"), (f"bid_{name}", f"ask_{name}")]
        for bid, ask in pairs:
            if name not in raw.columns and {bid, ask} <= set(raw.columns):
                raw = raw.assign(**{name: (_numbers(path, bid, raw[bid]) + _numbers(path, ask, raw[ask])) / 2})
    return raw


def _times(path: Path, raw: pd.Series) -> pd.Series:
    remedy = "Write times as ISO 8601 with their offset, such as 2021-03-01T12:00:00Z."
    if pd.api.types.is_datetime64_any_dtype(raw):
        if not isinstance(raw.dtype, pd.DatetimeTZDtype):
            raise DataError(f"{path}: row {raw.index[0]}: time {raw.iloc[0]} has no time zone. {remedy}")
        times = raw.dt.tz_convert("UTC")
    elif pd.api.types.is_numeric_dtype(raw):
        raise DataError(f"{path}: row {raw.index[0]}: time {raw.iloc[0]} is a number; epochs are not read. {remedy}")
    else:
        text = raw.astype(str).str.strip().str.replace(r"\s*UTC$", "Z", regex=True)
        zoned = text.str.contains(r":.*\d(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$", regex=True)
        if not zoned.all():
            row = zoned.idxmin()
            raise DataError(f"{path}: row {row}: time {raw.loc[row]!r} has no time zone. {remedy}")
        times = pd.to_datetime(text, utc=True, errors="coerce", format="ISO8601")
    if times.isna().any():
        row = times.isna().idxmax()
        raise DataError(f"{path}: row {row}: time {raw.loc[row]!r} cannot be read. {remedy}")
    return times.astype(UTC_TIME)


def _numbers(path: Path, name: str, raw: pd.Series, gaps: bool = False) -> pd.Series:
    numbers = pd.to_numeric(raw, errors="coerce").astype("float64")
    bad = ~np.isfinite(numbers.to_numpy())
    if gaps:
        bad &= raw.notna().to_numpy() & (raw.astype(str).str.strip() != "").to_numpy()
    if bad.any():
        row = raw.index[int(np.argmax(bad))]
        raise DataError(f"{path}: row {row}: {name} is '{raw.loc[row]}', not a number. Mend or remove the row.")
    return numbers


def _refuse_running(path: Path, complete: pd.Series) -> None:
    running = complete.astype(str).str.strip().str.lower().isin(("false", "0"))
    if running.any():
        raise DataError(
            f"{path}: row {running.idxmax()}: the candle is not complete, it was still running when exported; "
            f"{int(running.sum())} such rows. Remove the row and try again."
        )


def _refuse_bad_rows(path: Path, frame: pd.DataFrame) -> None:
    time = frame["time"]
    backwards = (time.diff() < pd.Timedelta(0)).to_numpy()
    prices = frame[list(PRICES)].to_numpy()
    quotes = frame[[c for c in ("bid_close", "ask_close") if c in frame.columns]].to_numpy()
    open_, high, low, close = prices.T
    checks = [
        (backwards, "time lies before the row above", "Sort the file by time"),
        (time.duplicated().to_numpy(), "time repeats an earlier row", "Keep one row for each bar"),
        (
            (prices <= 0).any(axis=1) | (quotes <= 0).any(axis=1),
            "a price is not positive",
            "Mend or remove the row",
        ),
        (high < low, "high is below low", "Mend or remove the row"),
        (
            (np.maximum(open_, close) > high) | (np.minimum(open_, close) < low),
            "open or close lies outside high and low",
            "Mend or remove the row",
        ),
    ]
    if {"bid_close", "ask_close"} <= set(frame.columns):
        checks.append(
            (
                (frame["ask_close"] < frame["bid_close"]).to_numpy(),
                "ask is below bid",
                "Mend or remove the row",
            )
        )
    if "volume" in frame.columns:
        checks.append(((frame["volume"] < 0).to_numpy(), "volume is negative", "Mend or remove the row"))
    for bad, what, remedy in checks:
        if bad.any():
            row = int(np.argmax(bad))
            values = ", ".join(f"{k} {v}" for k, v in frame.iloc[row].items())
            raise DataError(
                f"{path}: row {frame.index[row]}: {what} ({values}); {int(bad.sum())} such rows. "
                f"{remedy} and try again."
            )


def longer_bars(times: pd.Series, minutes: int) -> pd.Timedelta | None:
    """The usual distance of bar opens (UTC, any order) when bars of `minutes` cannot be what they are, else None.

    Bars that nothing was traded in are missing, so single gaps say nothing. Gaps that are nearly all multiples of
    the usual one, and that one at least two bars, are those of longer bars: read as shorter ones, they would count
    as known long before they close.
    """
    gaps = np.diff(np.unique(pd.DatetimeIndex(times).as_unit("us").astype("int64")))
    if len(gaps) < MIN_GAPS or (usual := int(np.median(gaps))) < 2 * minutes * 60_000_000:
        return None
    return pd.Timedelta(microseconds=usual) if np.mean(gaps % usual == 0) >= MULTIPLES else None
