"""What a user's file holds, row by row, bad rows included: silver leaves them out and keeps the reason.

Only what cannot be read at all raises SourceError. `fx import` is stricter, see candle_file.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fx_assets.sources import answers, news_content
from fx_assets.sources.base import SourceError
from fx_assets.sources.candle_file import ALIASES, PRICES, READERS, TIME_NAMES

_log = logging.getLogger(__name__)
_PACKED = (".gz", ".gzip")
NAMES = {
    **ALIASES,
    **{
        f"{side}_{short}": f"{side}_{name}"
        for side in ("bid", "ask")
        for short, name in zip("ohlc", PRICES, strict=True)
    },
}
NEWS_NAMES = {
    "published_at": "published",
    "time": "published",
    "seen_at": "first_seen",
    "title": "headline",
    "publisher": "source",
}


def kind(name: str) -> str:
    """The ending that says a file's format, "" for one that is not known."""
    suffixes = [s.lower() for s in PurePosixPath(name).suffixes]
    found = next((s for s in reversed(suffixes) if s not in _PACKED), "")
    return found if found in READERS else ""


def table(where: str, name: str, content: bytes) -> pd.DataFrame:
    """A file as it is, its columns' names in lower case. Raises SourceError for a broken one."""
    try:
        if name.lower().endswith(_PACKED):
            content = gzip.decompress(content)
        raw = READERS[kind(name)](content) if content.strip() else pd.DataFrame()
    except (ValueError, OSError, EOFError, zlib.error, KeyError) as error:
        raise SourceError(f"{where}: cannot be read as {kind(name) or 'a table'}: {error}. Export it again.") from None
    raw.columns = [str(column).strip().lower() for column in raw.columns]
    return raw


def candles(where: str, raw: pd.DataFrame, max_bad_share: float) -> pd.DataFrame:
    """The rows as candles, in the order of their times; a value that is no number is missing.

    `instrument` stays where the file has it. Candles that were still running are left out. Raises SourceError for
    missing columns, times without zone, and where more than max_bad_share of the times cannot be read.
    """
    raw = _renamed(where, raw, NAMES)
    for name in PRICES:
        bid, ask = f"bid_{name}", f"ask_{name}"
        if name not in raw.columns and {bid, ask} <= set(raw.columns):
            raw = raw.assign(**{name: (_numbers(raw[bid]) + _numbers(raw[ask])) / 2})
    time_name = next((name for name in TIME_NAMES if name in raw.columns), None)
    missing = (["time"] if time_name is None else []) + [name for name in PRICES if name not in raw.columns]
    if time_name is None or missing:
        raise SourceError(
            f"{where}: needs columns time, open, high, low, close; missing {', '.join(missing)}; "
            f"found {', '.join(raw.columns) or 'none'}. Rename the columns."
        )
    if "complete" in raw.columns:
        raw = raw[~raw["complete"].astype(str).str.strip().str.lower().isin(("false", "0"))]
    times = _times(where, raw[time_name], max_bad_share)
    columns = {name: _numbers(raw[name]) for name in answers.COLUMNS[1:] if name in raw.columns}
    made = answers.frame(pd.DatetimeIndex(times), columns)
    for name in ("instrument", "symbol"):
        if name in raw.columns:
            made["instrument"] = raw[name].astype(str).str.strip().to_numpy()
            break
    return made[made["time"].notna()].sort_values("time", kind="stable", ignore_index=True)


def news(where: str, raw: pd.DataFrame, publisher: str, max_bad_share: float) -> pd.DataFrame:
    """The rows as headlines. first_seen is published where the file has only one time; source is the file's name
    where it names none.
    """
    raw = _renamed(where, raw, NEWS_NAMES)
    if missing := [name for name in ("published", "headline") if name not in raw.columns]:
        raise SourceError(
            f"{where}: needs columns published and headline (optional: first_seen, source, article_count); "
            f"missing {', '.join(missing)}; found {', '.join(raw.columns) or 'none'}. Rename the columns."
        )
    raw = raw[raw["headline"].notna()]
    published = _times(where, raw["published"], max_bad_share)
    seen = _times(where, raw["first_seen"], max_bad_share) if "first_seen" in raw.columns else published
    source = raw["source"].fillna(publisher).astype(str) if "source" in raw.columns else [publisher] * len(raw)
    known = (published.notna() & seen.notna()).to_numpy()
    counts = _numbers(raw["article_count"]) if "article_count" in raw.columns else pd.Series(1.0, index=raw.index)
    counted = counts.where(counts >= 1).fillna(1).astype("int64").to_numpy()
    rows = zip(published, seen, raw["headline"].astype(str), source, strict=True)
    return news_content.frame([row for row, good in zip(rows, known, strict=True) if good], counted[known])


def _renamed(where: str, raw: pd.DataFrame, names: dict[str, str]) -> pd.DataFrame:
    raw = raw.rename(columns={k: v for k, v in names.items() if k in raw.columns and v not in raw.columns})
    if twice := sorted(set(raw.columns[raw.columns.duplicated()])):
        raise SourceError(f"{where}: more than one column means {', '.join(twice)}. Remove all but one.")
    return raw


def _numbers(raw: pd.Series) -> pd.Series:
    return pd.to_numeric(raw, errors="coerce").astype("float64")


def _times(where: str, raw: pd.Series, max_bad_share: float) -> pd.Series:
    """UTC microseconds; NaT for few that cannot be read."""
    if isinstance(raw.dtype, pd.DatetimeTZDtype):
        return raw.dt.tz_convert("UTC").astype(answers.TIME_TYPE)
    text = raw.astype(str).str.strip().str.replace(r"\s*UTC$", "Z", regex=True)
    zoned = text.str.contains(r":.*\d(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$", regex=True)
    times = pd.to_datetime(text.where(zoned), utc=True, errors="coerce", format="ISO8601").astype(answers.TIME_TYPE)
    bad = times.isna().to_numpy()
    if bad.any():
        row, count = raw.index[int(np.argmax(bad))], int(bad.sum())
        what = f"{where}: row {row}: time {raw.loc[row]!r} cannot be read; {count} such rows"
        if count > max_bad_share * len(raw):
            raise SourceError(f"{what}. Write times as ISO 8601 with their offset, such as 2021-03-01T12:00:00Z.")
        _log.warning("%s. They are left out, since they belong to no session.", what)
    return times
