"""Rows of either side in the same terms: the new system's names, UTC, its units, one type for each kind of value."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api import types

from fx_assets.compare.mapping import TableMap
from fx_assets.compare.places import DAY_NAMES, Part, symbol
from fx_assets.compare.times import utc
from fx_assets.errors import DataError
from fx_assets.sources.candle_file import TIME_NAMES
from fx_assets.sources.file_frames import NAMES

TIMES = (*TIME_NAMES, "ts", "available_at")
INSTRUMENTS = ("instrument", "symbol", "pair", "ticker")


@dataclass(frozen=True)
class Terms:
    """How one side's rows are read. names: stored name -> name here. key: the time first. times: columns with times."""

    names: dict[str, str]
    key: tuple[str, ...]
    times: frozenset[str]
    zone: str | None
    unit: str | None = None
    instrument: str | None = None
    factors: dict[str, float] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()


def key_of(where: str, columns: Collection[str], mapped: TableMap, known: tuple[str, ...] | None) -> tuple[str, ...]:
    """What tells the new table's rows apart: as mapped, as the platform knows the table, or time and instrument."""
    if mapped.key:
        return mapped.key
    if known and set(known) <= set(columns):
        return known
    time = next((name for name in (*TIMES, *DAY_NAMES) if name in columns), None)
    if time is None:
        raise DataError(
            f"{where}: no time column among {', '.join(columns) or 'none'}. "
            "Name the key in the mapping file: tables: {TABLE: {key: [time, instrument]}}."
        )
    return (time, *(name for name in INSTRUMENTS[:1] if name in columns))


def old_names(columns: Collection[str], new: Collection[str], mapped: TableMap, key: tuple[str, ...]) -> dict[str, str]:
    """By old name, what the new system calls a column: as mapped, else the same, else another spelling of it."""
    stated: dict[str, str] = {entry.old: name for name, entry in mapped.columns.items() if entry.old}
    if mapped.time:
        stated[mapped.time] = key[0]
    names, taken = dict(stated), set(stated.values())
    free = [column for column in columns if column not in stated]
    spellings: tuple[Callable[[str], str], ...] = (
        lambda column: column,
        lambda column: next((name for name in new if name.lower() == column.strip().lower()), column),
        lambda column: NAMES.get(column.strip().lower(), column),
        lambda column: key[0] if column.strip().lower() in (*TIMES, *DAY_NAMES) else column,
        lambda column: "instrument" if column.strip().lower() in INSTRUMENTS else column,
    )
    for spelling in spellings:
        for column in free:
            name = spelling(column)
            if column not in names and name in new and name not in taken:
                names[column] = name
                taken.add(name)
    return {column: names.get(column, column) for column in columns}


def with_path(frame: pd.DataFrame, part: Part) -> pd.DataFrame:
    """With what the path says as columns, where the file has no such column."""
    added = {name: value for name, value in part.values.items() if name not in frame.columns}
    return frame.assign(**added) if added else frame


def normal(where: str, frame: pd.DataFrame, part: Part, terms: Terms) -> pd.DataFrame:
    """Rows in the terms of the comparison. Raises DataError naming file, column, value and remedy."""
    days = {terms.names.get(name, name) for name in DAY_NAMES if name in part.values and name not in frame.columns}
    frame = with_path(frame, part).rename(columns=terms.names)
    if terms.instrument is not None:
        frame["instrument"] = terms.instrument
    if missing := [name for name in terms.key if name not in frame.columns]:
        raise DataError(
            f"{where}: no column {', '.join(missing)} among {', '.join(map(str, frame.columns))}, and rows are told "
            f"apart by {', '.join(terms.key)}. Map it: tables: {{TABLE: {{columns: {{{missing[0]}: NAME_THERE}}}}}}."
        )
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise DataError(f"{where}: more than one column means {', '.join(twice)}. Map or ignore all but one.")
    made = {}
    for name in frame.columns:
        if name in terms.dropped or (name in part.values and name not in terms.key):
            continue
        if name in terms.times:
            zone = "UTC" if name in days else terms.zone
            made[name] = utc(f"{where}: {name}", frame[name], zone, terms.unit)
        else:
            made[name] = plain(frame[name], terms.factors.get(name, 1.0))
    result = pd.DataFrame(made, index=frame.index)
    if result[terms.key[0]].isna().any():
        row = int(np.argmax(result[terms.key[0]].isna()))
        raise DataError(f"{where}: row {row + 1} of the data has no {terms.key[0]}. Mend or remove the row.")
    if "instrument" in terms.key:
        spelled = {value: symbol(str(value)) for value in result["instrument"].unique()}
        result["instrument"] = result["instrument"].map(spelled)
    return result.reset_index(drop=True)


def plain(values: pd.Series, factor: float = 1.0) -> pd.Series:
    """Figures as float64 (truth as 1 and 0, float32 as it is), times as they are, all else as text or None."""
    if types.is_datetime64_any_dtype(values):
        return values
    if types.is_bool_dtype(values) or types.is_numeric_dtype(values):
        single = values.dtype == np.float32 and factor == 1.0
        return pd.Series(values.to_numpy("float32" if single else "float64", na_value=np.nan) * factor, values.index)
    there = values[values.notna()]
    if len(there) and types.infer_dtype(there) in ("boolean", "decimal", "integer", "floating", "mixed-integer-float"):
        return values.astype(object).where(values.notna(), np.nan).astype("float64") * factor
    if not len(there):
        return pd.Series(np.nan, values.index, dtype="float64")
    # Formats without missing values write "" for them.
    text = [str(value) if known and value != "" else None for value, known in zip(values, values.notna(), strict=True)]
    return pd.Series(text, values.index, dtype=object)
