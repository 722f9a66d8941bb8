"""What `fx features` works on: one instrument's candles, those of others beside it, and reference files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fx_assets.errors import ConfigError, DataError
from fx_assets.features import available_features, compute_features, specs
from fx_assets.features.bar_length import usual_length
from fx_assets.features.blocks import MINUTE_US, OPTIONAL
from fx_assets.features.cross import currencies, provides
from fx_assets.features.filled import filled_features
from fx_assets.features.reference import Reference
from fx_assets.sources.candle_file import read_candle_file

PRICES = ("instrument", "time", "open", "high", "low", "close")


@dataclass(frozen=True)
class Inputs:
    """bars: the instrument's own, with the column instrument (empty when it has no name). beside: the others' bars.

    empty: optional columns of the file without any figure, which count as absent. gaps: by optional column with some,
    how many rows have none.
    bar_us: length of a bar in microseconds; 0 when it is not known, which a single bar does not tell.
    """

    bars: pd.DataFrame
    beside: pd.DataFrame | None
    reference: Reference
    bar_us: int
    empty: tuple[str, ...]
    gaps: dict[str, int]

    @property
    def symbols(self) -> list[str]:
        """The instrument, then the others."""
        others = [] if self.beside is None else self.beside["instrument"].unique().tolist()
        return [str(self.bars["instrument"].iloc[0]), *map(str, others)]

    def missing(self, groups: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """By feature of these groups, in canonical order, what it lacks; nothing for those it can make."""
        _, dropped = available_features(self.bars.columns, self.symbols, self.reference)
        # What one of the others could have is not there for the file's own instrument.
        absent = {"others", "triangle"} - provides(self.symbols, of=self.symbols[0])
        return {
            spec.name: tuple(sorted({*dropped.get(spec.name, ()), *(absent & {*spec.requires})}))
            for group in groups
            for spec in specs(group)
        }

    def table(self, names: list[str]) -> pd.DataFrame:
        """instrument, time and these features of the file's own bars."""
        chosen = {spec.group: None for spec in specs() if spec.name in set(names)}
        own = filled_features(self.bars, [group for group in chosen if group != "cross"], self.reference, self.bar_us)
        if "cross" in chosen:
            together = pd.concat([self.bars[[*PRICES]], self.beside], ignore_index=True)
            cross = compute_features(together, ["cross"], bar_us=self.bar_us)
            mine = cross[(cross["instrument"] == self.symbols[0]).to_numpy()].drop(columns=["instrument", "time"])
            own = pd.concat([own, mine.reset_index(drop=True)], axis=1)
        return own[["instrument", "time", *names]]


def read_inputs(
    file: Path, instrument: str, others: list[str], economic: Path | None, rates: Path | None, minutes: int
) -> Inputs:
    """Read and check everything. others: SYMBOL=FILE; minutes: length of a bar, 0 for what the times of `file` tell.

    Raises ConfigError for options that cannot be, DataError for files that cannot be used.
    """
    paths = _paths(others, instrument)
    if (economic or rates) and not instrument:
        raise ConfigError(f"--economic and --rates need the currencies of {file.name}. Add --instrument EUR_USD.")
    if (economic or rates) and currencies(instrument) is None:
        raise ConfigError(
            f"--instrument {instrument}: its two currencies are not known, which --economic and --rates need. "
            "Write it such as EUR_USD."
        )
    bars = read_candle_file(file, gaps=True)
    unknown = {name: int(bars[name].isna().sum()) for name in OPTIONAL if name in bars.columns}
    empty = tuple(name for name, rows in unknown.items() if rows == len(bars))
    length = minutes * MINUTE_US or usual_length(bars["time"])
    parts = []
    for symbol, path in paths.items():
        frame = read_candle_file(path, gaps=True)
        if length and (found := usual_length(frame["time"])) and found != length:
            raise DataError(
                f"{path}: bars of {found / MINUTE_US:g} minutes beside {length / MINUTE_US:g} in {file.name}: bars "
                "that open together must close together. Give bars of one length."
            )
        parts.append(frame.assign(instrument=symbol)[[*PRICES]])
    reference = Reference.read(economic, rates)
    for path, table in ((economic, reference.economic), (rates, reference.rates)):
        if path is not None and table is not None:
            _refuse_strangers(path, table, instrument)
    return Inputs(
        bars.drop(columns=[*empty]).assign(instrument=instrument),
        pd.concat(parts, ignore_index=True) if parts else None,
        reference,
        length,
        empty,
        {name: rows for name, rows in unknown.items() if rows and name not in empty},
    )


def absent_currencies(table: pd.DataFrame, instrument: str) -> list[str]:
    """Those of the instrument's two currencies that the releases or rates have no row of."""
    held = set(table["currency"])
    return [currency for currency in currencies(instrument) or () if currency not in held]


def _refuse_strangers(path: Path, table: pd.DataFrame, instrument: str) -> None:
    if len(absent_currencies(table, instrument)) == 2:
        held = ", ".join(sorted(set(table["currency"]))[:10]) or "none"
        raise DataError(
            f"{path}: has no row of a currency of {instrument}; it holds {held}. Give the file of these currencies."
        )


def _paths(others: list[str], instrument: str) -> dict[str, Path]:
    if others and not instrument:
        raise ConfigError("--other needs to know which instrument the first file is of. Add --instrument EUR_USD.")
    found: dict[str, Path] = {}
    for text in others:
        symbol, _, path = text.partition("=")
        if not symbol or not path:
            raise ConfigError(f"--other {text}: is not SYMBOL=FILE. Write it such as GBP_USD=GBPUSD.csv.")
        if symbol == instrument or symbol in found:
            raise ConfigError(f"--other {text}: {symbol} is given twice. Give each instrument once.")
        found[symbol] = Path(path)
    return found
