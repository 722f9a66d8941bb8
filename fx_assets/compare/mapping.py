"""The mapping file: the old system's names, time zone and units, and what counts as equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError, model_validator

from fx_assets.configuration.base import Strict
from fx_assets.configuration.load import explain, read_tree
from fx_assets.errors import ConfigError

FACTORS = {"percent": 1e-2, "bps": 1e-4}
GUIDE = "docs/migration.md shows one"


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError):
        raise ValueError("no such time zone. Use a name such as UTC or America/New_York") from None
    return value


Zone = Annotated[str, AfterValidator(_zone)]


class Tolerance(Strict):
    """Two numbers are equal when they differ by no more than `absolute`, or than `relative` of the larger one."""

    absolute: float = Field(default=1e-12, ge=0, allow_inf_nan=False)
    relative: float = Field(default=1e-9, ge=0, lt=1)


class ColumnMap(Strict):
    """One column, by its new name. old: what it is called there. unit, factor: what old values are multiplied by."""

    old: str | None = None
    unit: Literal["percent", "bps"] | None = None
    factor: float | None = Field(default=None, allow_inf_nan=False)
    tolerance: Tolerance | None = None

    @model_validator(mode="before")
    @classmethod
    def name_alone(cls, value: Any) -> Any:
        return {"old": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def one_factor(self) -> ColumnMap:
        if self.unit is not None and self.factor is not None:
            raise ValueError(f"unit {self.unit} and factor {self.factor:g} both say what to multiply by. Remove one")
        if self.factor == 0:
            raise ValueError("factor 0 would make all values equal. Change it")
        return self

    @property
    def multiplier(self) -> float:
        """What old values are multiplied by."""
        return FACTORS[self.unit] if self.unit else self.factor if self.factor is not None else 1.0


class TableMap(Strict):
    """One table, by its new name. time: the old time column; key: the columns, by their new names, that tell rows
    apart, the time first. instrument: of an old table about one instrument that does not name it.
    """

    old: str | None = None
    time: str | None = None
    time_zone: Zone | None = None
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    key: tuple[str, ...] | None = Field(default=None, min_length=1)
    instrument: str | None = None
    columns: dict[str, ColumnMap] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    tolerance: Tolerance | None = None


class Mapping(Strict):
    """The whole file. time_zone: of times that carry none. ignore: old tables that nothing here corresponds to."""

    time_zone: Zone | None = None
    tolerance: Tolerance = Tolerance()
    tables: dict[str, TableMap] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    def table(self, new: str) -> TableMap:
        """What is said of one table."""
        return self.tables.get(new, TableMap())

    def tolerance_of(self, new: str, column: str) -> Tolerance:
        """The nearest one that is stated."""
        table = self.table(new)
        own = table.columns[column].tolerance if column in table.columns else None
        return own or table.tolerance or self.tolerance


def _parsed(path: Path) -> Mapping:
    """No file of the platform's: FX_ENV lays nothing over it, whatever its name."""
    try:
        return Mapping.model_validate(read_tree(path))
    except ValidationError as error:
        raise ConfigError("\n".join(explain(path, problem) for problem in error.errors())) from None


def read_mapping(path: Path | None, pairs: list[str], time_zone: str | None) -> Mapping:
    """A mapping file, and what the command line adds to it: OLD=NEW pairs and a time zone.

    Raises ConfigError naming file or option, field, value and remedy.
    """
    if path is not None and path.is_file() and not path.read_bytes().strip():
        raise ConfigError(f"{path}: is empty. Write a mapping into it ({GUIDE}), or leave out --mapping.")
    mapping = Mapping() if path is None else _parsed(path)
    tables = dict(mapping.tables)
    for pair in pairs:
        old, sign, new = (part.strip() for part in pair.partition("="))
        if not (old and sign and new):
            raise ConfigError(f"--map: {pair!r} is not OLD=NEW. Write it as --map features_daily=gold/features.")
        tables[new] = tables.get(new, TableMap()).model_copy(update={"old": old})
    if time_zone is not None:
        try:
            _zone(time_zone)
        except ValueError as error:
            raise ConfigError(f"--time-zone: {time_zone!r}: {error}.") from None
    return mapping.model_copy(update={"tables": tables, "time_zone": time_zone or mapping.time_zone})
