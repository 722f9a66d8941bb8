"""Which tables a folder or object store holds, and the files of each: by folder names and file names alone.

candles.csv, candles/part-0.parquet, candles/session=2021-03-01/part.parquet     table candles
candles/2021-03-01.csv.gz, candles_20210301.csv                                  table candles, a file a day
candles/EUR_USD.csv, candles/EURUSD/2021-03.csv                                  table candles, instrument EUR_USD
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta

from fx_assets.storage import Store

KINDS = (".csv", ".ndjson", ".jsonl", ".parquet", ".pq")
DAY_NAMES = ("session", "date", "day", "dt", "ds")
_PACKED = (".gz", ".gzip")
_DATE = re.compile(r"\d{4}(?:[-_]?\d{2}(?:[-_]?\d{2})?)?|\d{2}")
_DATED = re.compile(r"(.*?)[-_.]?((?:19|20)\d{2}[-_]?\d{2}(?:[-_]?\d{2})?)")
_PART = re.compile(r"(?:part|data)(?:[-_.].*|\d*)", re.IGNORECASE)
_SYMBOL = re.compile(r"([A-Z]{3})[-_]?([A-Z]{3})")
_HIVE = re.compile(r"([A-Za-z_]\w*)=(.*)")
# Files as fetched, several of a bar: never rows of a table that could be compared one by one.
_BRONZE = re.compile(r"bronze/[^/]+/instrument=[^/]+/session=")
_MARGIN = timedelta(days=4)  # a session's rows lie within this of the date in its name, whatever its zone


@dataclass(frozen=True)
class Part:
    """One file of a table, and what its path says of its rows, such as the instrument."""

    path: str
    kind: str
    values: dict[str, str] = field(default_factory=dict)

    def near(self, first: date | None, last: date | None) -> bool:
        """Whether rows between two days can be in it, as far as its path tells."""
        named = next((self.values[name] for name in DAY_NAMES if name in self.values), None)
        day = _day(named) if named else None
        if day is None:
            return True
        return (first is None or day >= first - _MARGIN) and (last is None or day <= last + _MARGIN)


def tables_in(store: Store) -> dict[str, list[Part]]:
    """Every table by name, with its files in order of their paths."""
    found: dict[str, list[Part]] = {}
    for path in store.list(""):
        kind = kind_of(path)
        if kind and not _BRONZE.match(path):
            name, values = _told(path, kind)
            found.setdefault(name or store.url.rstrip("/").rpartition("/")[2], []).append(Part(path, kind, values))
    return found


def kind_of(path: str) -> str:
    """The ending that says a file's format, "" for one that holds no table."""
    name = path.lower()
    for packed in _PACKED:
        name = name.removesuffix(packed)
    return next((kind for kind in KINDS if name.endswith(kind)), "")


def symbol(text: str) -> str:
    """EURUSD, EUR/USD and EUR-USD as EUR_USD; anything else as it is."""
    match = _SYMBOL.fullmatch(text.strip().replace("/", "_"))
    return f"{match[1]}_{match[2]}" if match else text


def _told(path: str, kind: str) -> tuple[str, dict[str, str]]:
    """A file's table, and the values that its path states."""
    *folders, name = path.split("/")
    stem = name[: name.lower().rindex(kind)]
    kept: list[str] = []
    values: dict[str, str] = {}
    for folder in folders:
        if hive := _HIVE.fullmatch(folder):
            values[hive[1]] = hive[2]
        elif _SYMBOL.fullmatch(folder):
            values["instrument"] = symbol(folder)
        elif not _DATE.fullmatch(folder):
            kept.append(folder)
    if any(_HIVE.fullmatch(folder) for folder in folders) or _PART.fullmatch(stem):
        return "/".join(kept), values
    if _DATE.fullmatch(stem):
        return "/".join(kept), values | ({"date": stem} if _day(stem) else {})
    if dated := _DATED.fullmatch(stem):
        stem = dated[1]
        values |= {"date": dated[2]} if _day(dated[2]) else {}
    if _SYMBOL.fullmatch(stem):
        return "/".join(kept), values | {"instrument": symbol(stem)}
    return "/".join([*kept, stem]), values


def _day(text: str) -> date | None:
    """The day that a name states; None for a month, and for what is no date."""
    try:
        return date.fromisoformat(text.replace("_", "-"))
    except ValueError:
        return None
