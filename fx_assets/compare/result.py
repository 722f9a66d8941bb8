"""What a comparison found, as it is written with --json."""

from __future__ import annotations

import msgspec


class Cause(msgspec.Struct, frozen=True):
    """A reason that the data prove. column: None where it holds for whole rows. rows: how many it explains."""

    kind: str
    words: str
    column: str | None
    rows: int


class Example(msgspec.Struct, frozen=True):
    """One differing value, by the key of its row."""

    key: dict[str, str]
    old: str
    new: str


class ColumnFound(msgspec.Struct, frozen=True):
    """One column over the rows in both. largest, median: distances of the values that differ, times in seconds.

    missing_old, missing_new: rows in which only that side has no value.
    """

    name: str
    old_type: str
    new_type: str
    rows: int
    equal: int
    missing_old: int
    missing_new: int
    largest: float | None
    median: float | None
    examples: list[Example]
    comparable: bool = True

    @property
    def share(self) -> float:
        """Of the rows in both, those equal within tolerance."""
        return self.equal / self.rows if self.rows else 1.0


class Side(msgspec.Struct, frozen=True):
    """One side of a table: its rows in the compared time, rows outside it, its first and last time, repeated keys."""

    rows: int
    outside: int
    first: str | None
    last: str | None
    repeated_keys: int
    only: int
    only_examples: list[dict[str, str]]


class TableFound(msgspec.Struct, frozen=True):
    """One table. compared: first and last time looked at, None where the sides have no time in common."""

    name: str
    old_name: str
    key: list[str]
    compared: tuple[str, str] | None
    old: Side
    new: Side
    both: int
    columns: list[ColumnFound]
    only_old_columns: list[str]
    only_new_columns: list[str]
    causes: list[Cause]

    @property
    def equal(self) -> bool:
        """No row on one side alone, no differing value, and no column that only the old side has."""
        if self.compared is None:
            return self.old.rows == self.new.rows == self.old.outside == self.new.outside == 0
        apart = self.old.only or self.new.only or self.only_old_columns
        return not apart and all(column.comparable and column.equal == column.rows for column in self.columns)


class Comparison(msgspec.Struct, frozen=True):
    """Everything. only_old: tables that the new side lacks, which count as a difference; only_new: which do not."""

    old: str
    new: str
    tables: list[TableFound]
    only_old: list[str]
    only_new: list[str]

    @property
    def equal(self) -> bool:
        """Whether the new system makes all that the old one does, within tolerance."""
        return not self.only_old and all(table.equal for table in self.tables)
