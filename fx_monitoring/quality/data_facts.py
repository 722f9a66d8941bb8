"""What is known about one session's data: read from the tables, their stamps and the checks; nothing is fetched or
changed. data_page.py says it to people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.freshness.newest import WATCHED, Lag, table_lags
from fx_assets.inputs import table_inputs
from fx_assets.lake import Lake
from fx_assets.market_hours import market_hours
from fx_assets.quality.findings import NOTED
from fx_assets.quality.stored import CANDLES, QUARANTINE, stored_quality
from fx_assets.schemas import build_schemas, views
from fx_assets.sessions import news_bounds, running_session
from fx_assets.silver.news_check import NEWS, newest_clocks

FEATURES = "gold/features"
USUAL_SESSIONS = 5  # what a feature's missing share is held against
#: A share of missing values is unusual where it is so much above what it usually is.
UNUSUAL = 0.05
_CLOSED = "not made"


@dataclass(frozen=True)
class TableFact:
    """One table in the session. made: whether its partition is there. problems: why nothing may be built on it."""

    table: str
    made: bool
    rows: int
    problems: tuple[str, ...]

    @property
    def status(self) -> str:
        """In a word: pass, miss (it has problems) or not made."""
        return ("miss" if self.problems else "pass") if self.made else _CLOSED


@dataclass(frozen=True)
class Arrived:
    """Bars of an instrument that the calendar expects by now, those that are there, those set aside, and sources."""

    instrument: str
    expected: int
    arrived: int
    quarantined: int
    sources: Mapping[str, int]

    @property
    def share(self) -> float | None:
        """Completeness, 0 to 1; None where nothing is expected."""
        return self.arrived / self.expected if self.expected else None


@dataclass(frozen=True)
class Missing:
    """A feature's share of missing values in the session, and in the sessions before it (None: there are none)."""

    feature: str
    share: float
    usual: float | None

    @property
    def unusual(self) -> bool:
        """Whether it is clearly more than usual."""
        return self.share > (self.usual or 0.0) + UNUSUAL


@dataclass(frozen=True)
class CheckFact:
    """The newest evaluation of an asset check; it may be of a later session than the page's."""

    asset: str
    check: str
    passed: bool
    at: datetime
    partition: str | None = None


@dataclass(frozen=True)
class Facts:
    """Everything about a session's data. findings: of quality.stored, without what is no fault."""

    session: str
    at: datetime
    tables: Sequence[TableFact]
    arrived: Sequence[Arrived]
    missing: Sequence[Missing]
    findings: pd.DataFrame
    headlines: Mapping[str, int]
    clocks: Sequence[str]
    lags: Mapping[str, Sequence[Lag]] = field(default_factory=dict)
    checks: Sequence[CheckFact] = ()

    @property
    def worries(self) -> list[str]:
        """What is not as it should be, in words; empty where all is well."""
        told = [f"{t.table}: {words}" for t in self.tables for words in t.problems]
        told += [f"{t.table} is not made" for t in self.tables if not t.made]
        told += [
            f"{a.instrument}: {a.arrived} of {a.expected} expected bars" for a in self.arrived if a.arrived < a.expected
        ]
        told += [f"{a.instrument}: {a.quarantined} candles in quarantine" for a in self.arrived if a.quarantined]
        unusual = [m for m in self.missing if m.unusual]
        told += [f"{m.feature}: {m.share:.1%} missing, {m.usual or 0:.1%} is usual" for m in unusual[:10]]
        told += [f"{len(unusual) - 10} more features lack more values than usual"] if len(unusual) > 10 else []
        told += [words for words in self.clocks if "inconclusive" not in words and "agree best" not in words]
        told += [
            f"{table}, {lag.instrument}: {lag.verdict}"
            for table, ls in self.lags.items()
            for lag in ls
            if not lag.fresh
        ]
        return told + [f"check {c.check} of {c.asset} failed" for c in self.checks if not c.passed]


def gather(
    lake: Lake, configuration: Configuration, session: str, at: datetime, checks: Sequence[CheckFact] = ()
) -> Facts:
    """The facts of a session as of `at` (aware, the data clock's). Lags are told of the running session only."""
    all_week = configuration.all_week
    candles, quarantine = (lake.read(name, [session]).get(session) for name in (CANDLES, QUARANTINE))
    news = lake.read(NEWS, [session], ["source", "article_count"]).get(session)
    findings, clocks = _found(lake, configuration, session, at)
    is_running = session == running_session(at, all_week)
    return Facts(
        session=session,
        at=at,
        tables=_tables(lake, configuration, session),
        arrived=_arrived(configuration, session, at, candles, quarantine),
        missing=_missing(lake, configuration, session),
        findings=findings,
        headlines={} if news is None else {str(k): int(v) for k, v in news.groupby("source").size().items()},
        clocks=[*clocks, *(clock.words for clock in newest_clocks(lake, None, session))],
        lags={table: table_lags(lake, configuration, table, at) for table in WATCHED} if is_running else {},
        checks=checks,
    )


def _tables(lake: Lake, configuration: Configuration, session: str) -> list[TableFact]:
    """Every silver and gold table: its rows, and what its stamp says is wrong with it."""
    schemas, found = build_schemas(configuration), []
    for table in table_inputs(configuration):
        made = lake.read_tables(table, [session], [schemas[table].key[0]]).get(session)
        if made is None:
            found.append(TableFact(table, False, 0, ()))
        else:
            rows, stamp = made
            found.append(TableFact(table, True, rows.num_rows, () if stamp is None else tuple(stamp.problems)))
    return found


def _arrived(
    configuration: Configuration,
    session: str,
    at: datetime,
    candles: pd.DataFrame | None,
    quarantine: pd.DataFrame | None,
) -> list[Arrived]:
    start, end = news_bounds(session, configuration.all_week)
    found = []
    for symbol, listed in configuration.instruments.instruments.items():
        opens = market_hours(listed.calendar).expected_bars(start, end, listed.minutes)
        opens = opens[opens + pd.Timedelta(minutes=listed.minutes) <= pd.Timestamp(at)]
        own = _of(candles, symbol)
        bad = _of(quarantine, symbol)
        found.append(
            Arrived(
                symbol,
                len(opens),
                0 if own is None else int(pd.DatetimeIndex(own["time"]).isin(opens).sum()),
                0 if bad is None else len(bad.drop_duplicates(["time", "fetched_at", "copy"])),
                {} if own is None else {str(k): int(v) for k, v in own["source"].value_counts().items()},
            )
        )
    return found


def _of(frame: pd.DataFrame | None, symbol: str) -> pd.DataFrame | None:
    return None if frame is None else frame[frame["instrument"] == symbol]


def _missing(lake: Lake, configuration: Configuration, session: str) -> list[Missing]:
    """Every feature of gold/features, the largest share first."""
    names = [name for group in views(configuration).values() for name in group]
    before = [key for key in lake.keys(FEATURES) if key < session][-USUAL_SESSIONS:]
    frames = lake.read(FEATURES, [*before, session], names)
    own = frames.pop(session, None)
    if own is None or own.empty:
        return []
    earlier = [frame for frame in frames.values() if len(frame)]
    usual = pd.concat(earlier, ignore_index=True).isna().mean() if earlier else None
    shares = own.isna().mean().sort_values(ascending=False, kind="stable")
    return [
        Missing(str(name), float(share), None if usual is None else float(usual.get(name, 0.0)))
        for name, share in shares.items()
    ]


def _found(lake: Lake, configuration: Configuration, session: str, at: datetime) -> tuple[pd.DataFrame, Sequence[str]]:
    """(the findings of the checks on the stored candles, clocks that are off); nothing where no candle is stored."""
    try:
        stored = stored_quality(lake, configuration, session, session, None, at)
    except MissingData:  # the session has no candles, which its tables say
        return pd.DataFrame(columns=pd.Index(["check", "what", "instrument", "source", "count", "of"])), ()
    return stored.findings[~stored.findings["what"].isin(NOTED)], stored.clocks
