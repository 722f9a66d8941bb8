"""A run's findings, gathered chunk by chunk, as the figures of the asset checks on silver/candles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import pandas as pd

from fx_assets.quality.clock import Agreement, Shift
from fx_assets.quality.findings import FINDING_COLUMNS, NOTHING
from fx_assets.quality.market import Market
from fx_assets.quality.screen import Screened

WORST = 10  # sessions that a check shows


@dataclass
class RunReport:
    """Everything found in a run so far."""

    market: Market
    candles: int = 0
    findings: list[pd.DataFrame] = field(default_factory=list)
    problems: dict[str, list[str]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    _weeks: dict[tuple[int, str], Agreement] = field(default_factory=dict)

    def add(self, keys: list[str], screened: Screened) -> None:
        """Take in a chunk."""
        self.keys += keys
        self.candles += screened.candles
        self.problems.update(screened.problems)
        if len(screened.findings):
            self.findings.append(screened.findings)
        names = [week_of(key) for key in keys]
        weeks = sorted(set(names))
        at = np.array([weeks.index(name) for name in names], dtype=np.int64)
        for agreement in screened.agreements:
            summed = agreement.grouped(at, len(weeks))
            for number, week in enumerate(weeks):
                one = _row(summed, number)
                known = self._weeks.get((agreement.minutes, week))
                self._weeks[agreement.minutes, week] = one if known is None else _plus(known, one)

    def table(self) -> pd.DataFrame:
        """All findings; see findings.FINDING_COLUMNS."""
        return pd.concat(self.findings, ignore_index=True) if self.findings else pd.DataFrame(columns=FINDING_COLUMNS)

    def week_shifts(self) -> list[str]:
        """Clocks that a whole week shows to be off, in words: more bars tell more than one session's."""
        return [shift_words(shift, self.market, week) for week, shift in self._shifts()]

    def shifted_weeks(self) -> list[list[str]]:
        """The sessions of this run in each week that shows a clock to be off."""
        weeks = sorted({week for week, _ in self._shifts()})
        return [[key for key in self.keys if week_of(key) == week] for week in weeks]

    def _shifts(self) -> Iterator[tuple[str, Shift]]:
        for (_, week), agreement in sorted(self._weeks.items()):
            for shift in agreement.shifts(len(self.market.symbols)):
                if abs(shift.minutes) > self.market.limits.max_clock_offset_minutes:
                    yield week, shift


def shift_words(shift: Shift, market: Market, week: str) -> str:
    """One clock that is off, and by how much."""
    way = "ahead of" if shift.minutes > 0 else "behind"
    symbol, minutes = market.symbols[shift.instrument], abs(shift.minutes)
    return f"{symbol}, week of {week}: its clock is {minutes} minutes {way} the related instruments'"


def week_of(key: str) -> str:
    """The Sunday that a session's week starts on."""
    day = date.fromisoformat(key)
    return date.fromordinal(day.toordinal() - (day.weekday() + 1) % 7).isoformat()


def of_check(findings: pd.DataFrame, check: str) -> pd.DataFrame:
    """One check's findings, the worst sessions first."""
    rows = findings[findings["check"] == check]
    return rows.sort_values(["count", "session", "instrument"], ascending=[False, True, True], kind="stable")


def arrived_nothing(findings: pd.DataFrame, instruments: int) -> list[str]:
    """Sessions in which no instrument at all has a candle although the market was open."""
    rows = findings[(findings["check"] == "completeness") & (findings["what"] == NOTHING)]
    return sorted(str(key) for key, count in rows.groupby("session").size().items() if count == instruments)


def worst_table(rows: pd.DataFrame) -> str:
    """Findings as a small Markdown table."""
    lines = ["| session | instrument | source | what | count | of |", "| --- | --- | --- | --- | --- | --- |"]
    for session, instrument, source, _, what, count, of in rows.head(WORST)[FINDING_COLUMNS].to_numpy().tolist():
        lines.append(f"| {session} | {instrument} | {source} | {what} | {count} | {of} |")
    return "\n".join(lines)


def _row(agreement: Agreement, number: int) -> Agreement:
    a, b, c, d = (values[number : number + 1] for values in agreement.sums)
    return Agreement(agreement.pairs, agreement.lags, agreement.minutes, (a, b, c, d))


def _plus(one: Agreement, other: Agreement) -> Agreement:
    a, b, c, d = (x + y for x, y in zip(one.sums, other.sums, strict=True))
    return Agreement(one.pairs, one.lags, one.minutes, (a, b, c, d))
