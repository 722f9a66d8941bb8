"""A computed frame as typed, sorted columns, cut into sessions: what is hashed and written.

The same as Schema.conform, Schema.problems and content_hash of each session's frame, but for a whole chunk at once:
a session is a slice of every column, so nothing is copied or looked up by session.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features.blocks import moment_us
from fx_assets.schemas import UTC_TIME, Column, Schema
from fx_assets.sessions import news_bounds


@dataclass(frozen=True)
class Sessions:
    """Sorted columns, and where each session's rows lie in them."""

    schema: Schema
    columns: dict[str, np.ndarray]
    slices: dict[str, slice]

    def rows(self, key: str) -> int:
        """How many rows a session has."""
        return self.slices[key].stop - self.slices[key].start

    def frame(self, key: str, names: Sequence[str] | None = None) -> pd.DataFrame:
        """One session as a frame that conforms to the schema. names: a selection of its columns."""
        wanted = self.columns if names is None else [name for name in self.columns if name in names]
        frame = pd.DataFrame({name: self.columns[name][self.slices[key]] for name in wanted}, copy=False)
        for column in self.schema.columns:
            if column.dtype == UTC_TIME and column.name in frame.columns:
                frame[column.name] = frame[column.name].dt.tz_localize("UTC")
        return frame

    def content(self, key: str) -> str:
        """schemas.content_hash of one session's frame."""
        digest = hashlib.sha256()
        where, rows = self.slices[key], self.rows(key)
        for column in self.schema.columns:
            digest.update(f"{column.name}:{column.dtype}:{rows};".encode())
            values = self.columns[column.name][where]
            digest.update(_text(values) if values.dtype == object else values.view(np.uint8).data)
        return digest.hexdigest()

    def span(self, key: str) -> tuple[str, str] | None:
        """First and last time of one session, as text; None for one without rows."""
        times = self.columns[self.schema.key[0]][self.slices[key]]
        if not len(times):
            return None
        first, last = (str(pd.Timestamp(moment).tz_localize("UTC")) for moment in (times[0], times[-1]))
        return first, last

    def problems(self) -> dict[str, list[str]]:
        """What is wrong with each session, in words; only those with something."""
        if not self._has_problem():
            return {}
        found = {key: self.schema.problems(self.frame(key)) for key in self.slices}
        return {key: words for key, words in found.items() if words}

    def _has_problem(self) -> bool:
        """Whether anything at all is wrong: one cheap look at whole columns, since nearly always nothing is."""
        return any(map(self._is_bad, self.schema.columns)) or self._repeats()

    def _is_bad(self, column: Column) -> bool:
        values = self.columns[column.name]
        if values.dtype == object:
            return not column.nullable and bool(pd.isna(values).any())
        if values.dtype.kind == "M":
            return not column.nullable and bool(np.isnat(values).any())
        unusual = values.dtype.kind == "f" and not np.isfinite(values).all()
        if unusual and (not column.nullable or np.isinf(values).any()):
            return True
        low, high = column.low, column.high
        return (low is not None and bool((values < low).any())) or (high is not None and bool((values > high).any()))

    def _repeats(self) -> bool:
        same: np.ndarray | None = None
        for name in self.schema.key:
            values = self.columns[name]
            equal = values[1:] == values[:-1]
            same = equal if same is None else same & equal
        return same is not None and bool(np.any(same))


def arrange(schema: Schema, frame: pd.DataFrame, keys: Sequence[str], all_week: bool = False) -> Sessions:
    """The rows of each of `keys`, by the session that `time` (or `published`-time `available_at`) falls into.

    Rows of other sessions are left out; a session without rows gets an empty slice. Columns are typed and rows sorted
    as Schema.conform does; every missing value becomes the same NaN, so that the bits do not tell where it came from.
    Raises DataError for a missing column.
    """
    absent = [c.name for c in schema.columns if c.name not in frame.columns and not c.nullable]
    if absent:
        raise DataError(
            f"{schema.table}: column {', '.join(absent)} is missing; there are {', '.join(frame.columns)}. "
            "Mend the step that makes this table."
        )
    columns = {c.name: _typed(frame, c) for c in schema.columns}
    order = _order([columns[name] for name in schema.key])
    if order is not None:
        columns = {name: values[order] for name, values in columns.items()}
    clock = "time" if "time" in columns else "available_at"
    if clock != schema.key[0]:
        raise DataError(f"{schema.table}: {clock} must come first in its key, which is {', '.join(schema.key)}.")
    bounds = np.array([[moment_us(moment) for moment in news_bounds(key, all_week)] for key in keys], dtype=np.int64)
    edges = np.searchsorted(columns[clock].view("int64"), bounds)
    slices = {key: slice(int(a), int(b)) for key, (a, b) in zip(keys, edges, strict=True)}
    return Sessions(schema, columns, slices)


def _typed(frame: pd.DataFrame, column: Column) -> np.ndarray:
    """One column as float64, int64, datetime64[us] (UTC) or object, contiguous."""
    wanted = pd.api.types.pandas_dtype(column.dtype)
    if column.name not in frame.columns:
        missing = pd.Series(np.nan, index=range(len(frame)))
        return _plain(missing.astype(wanted), column)
    values = frame[column.name]
    return _plain(values if values.dtype == wanted else values.astype(wanted), column)


def _plain(values: pd.Series, column: Column) -> np.ndarray:
    if column.dtype == UTC_TIME:
        return np.ascontiguousarray(values.to_numpy("datetime64[us]"))
    plain = np.ascontiguousarray(values.to_numpy())
    if plain.dtype.kind == "f":
        missing = np.isnan(plain)
        if missing.any():
            plain = np.where(missing, np.nan, plain)
    return plain


def _order(keys: list[np.ndarray]) -> np.ndarray | None:
    """The stable order by several columns; None where the rows are in it already."""
    ranks = [pd.factorize(k, sort=True)[0] if k.dtype == object else k.view("int64") for k in keys]
    tied, sorted_already = np.ones(max(len(ranks[0]) - 1, 0), dtype=bool), True
    for rank in ranks:
        if bool((tied & (rank[1:] < rank[:-1])).any()):
            sorted_already = False
            break
        tied = tied & (rank[1:] == rank[:-1])
    return None if sorted_already else np.lexsort(ranks[::-1])


def _text(values: np.ndarray) -> bytes:
    try:
        return "\0".join(values.tolist()).encode()
    except TypeError:  # not all of them are text
        return "\0".join(pd.Series(values, dtype=object).astype(str)).encode()
