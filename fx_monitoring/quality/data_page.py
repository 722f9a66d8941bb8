"""The page about one session's data: HTML to keep, Markdown for the Dagster UI."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.lake import Lake
from fx_assets.models.card_page import Bullets, Page, Section, Table, Text, to_html
from fx_assets.models.report import table
from fx_assets.quality.stored import CANDLES
from fx_monitoring.quality.data_facts import CheckFact, Facts, gather
from fx_monitoring.quality.kept import keep_newest
from fx_serving.client.clock import now
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

FOLDER = "data-quality"
_SHOWN = 15

Grid = tuple[Sequence[str], list[list[str]]]


def make_report(
    stores: Stores,
    lake: Lake,
    configuration: Configuration,
    session: str | None = None,
    keep: int = 30,
    checks: Sequence[CheckFact] = (),
    at: datetime | None = None,
) -> Path:
    """Write the page of a session, the newest one with candles by default; returns its path. The newest `keep` stay.

    Raises MissingData for what is no session, and where there are no candles to take the newest of.
    """
    key = session or max(lake.keys(CANDLES), default=None)
    if key is None:
        raise MissingData(f"{CANDLES}: no session is made. Run `fx backfill --from D --to D`.")
    try:
        known = date.fromisoformat(key).isoformat() == key
    except ValueError:
        known = False
    if not known:
        raise MissingData(f"session: {key!r} is not a session. Give the date that it starts on, such as 2022-03-03.")
    facts = gather(lake, configuration, key, at or now(), checks)
    return write(stores, facts, keep)


def write(stores: Stores, facts: Facts, keep: int) -> Path:
    """Write the page; a page of the same session is replaced."""
    path = stores.reports / FOLDER / f"data-quality-{facts.session}.html"
    atomic_write(path, to_html(page(facts), {}).encode())
    keep_newest(path.parent, "data-quality-*.html", keep, path)
    return path


def page(facts: Facts) -> Page:
    """The facts as a page."""
    worries = facts.worries
    rows = sum(t.rows for t in facts.tables if t.table == CANDLES)
    expected, there = (sum(getattr(a, name) for a in facts.arrived) for name in ("expected", "arrived"))
    lead = "Nothing is out of the ordinary." if not worries else f"{len(worries)} things need a look."
    return Page(
        title=f"Data quality, session {facts.session}",
        subtitle=f"As known at {facts.at:%Y-%m-%d %H:%M} UTC",
        badge="good" if not worries else "look",
        good=not worries,
        lead=lead,
        tiles=[
            ("Candles", f"{rows:,}", "rows of silver/candles"),
            ("Completeness", f"{there / expected:.1%}" if expected else "-", "of the bars the calendar expects"),
            ("Quarantined", f"{sum(a.quarantined for a in facts.arrived):,}", "candles set aside"),
            ("Tables", f"{sum(t.made for t in facts.tables)} of {len(facts.tables)}", "made"),
            ("Headlines", f"{sum(facts.headlines.values()):,}", "of the session"),
        ],
        sections=_sections(facts, worries),
    )


def markdown(facts: Facts) -> dict[str, str]:
    """The same as small tables, by the name that each has in the asset's metadata."""
    grids = {
        "tables": table_rows(facts),
        "completeness": arrived_rows(facts),
        "missing": missing_rows(facts),
        "findings": finding_rows(facts),
        "checks": check_rows(facts),
    }
    return {name: table(*grid) for name, grid in grids.items() if grid[1]}


def table_rows(facts: Facts) -> Grid:
    """Every table, whether it is made and good."""
    return ("table", "rows", "schema", "problems"), [
        [t.table, f"{t.rows:,}", t.status, "; ".join(t.problems) or "-"] for t in facts.tables
    ]


def arrived_rows(facts: Facts) -> Grid:
    """Bars and their sources by instrument."""
    return ("instrument", "expected", "arrived", "complete", "quarantined", "sources used"), [
        [
            a.instrument,
            str(a.expected),
            str(a.arrived),
            "-" if a.share is None else f"{a.share:.1%}",
            str(a.quarantined),
            ", ".join(f"{name} {count}" for name, count in a.sources.items()) or "none",
        ]
        for a in facts.arrived
    ]


def missing_rows(facts: Facts) -> Grid:
    """The features that lack most, or more than usual."""
    shown = [m for m in facts.missing if m.share > 0 or m.unusual]
    shown = sorted(shown, key=lambda m: (not m.unusual, -m.share))[:_SHOWN]
    return ("feature", "missing", "usual", "verdict"), [
        [m.feature, f"{m.share:.1%}", "-" if m.usual is None else f"{m.usual:.1%}", "miss" if m.unusual else "pass"]
        for m in shown
    ]


def finding_rows(facts: Facts) -> Grid:
    """What the checks on the candles found."""
    worst = facts.findings.sort_values("count", ascending=False, kind="stable").head(_SHOWN)
    names = ("check", "what", "instrument", "source", "count", "of")
    return names, [[str(row[name]) for name in names] for row in worst.to_dict("records")]


def check_rows(facts: Facts) -> Grid:
    """The newest evaluation of each check."""
    return ("asset", "check", "verdict", "evaluated (UTC)", "session"), [
        [c.asset, c.check, "pass" if c.passed else "miss", f"{c.at:%Y-%m-%d %H:%M}", c.partition or "-"]
        for c in facts.checks
    ]


def lag_rows(facts: Facts) -> Grid:
    """How far the newest rows are behind the market; of the running session only."""
    return ("table", "instrument", "newest", "lag (min)", "limit", "verdict"), [
        [
            name,
            lag.instrument,
            "-" if lag.newest is None else f"{lag.newest:%Y-%m-%d %H:%M}",
            "-" if lag.lag_minutes is None else f"{lag.lag_minutes:g}",
            f"{lag.limit_minutes:g}",
            lag.verdict,
        ]
        for name, lags in facts.lags.items()
        for lag in lags
    ]


def _sections(facts: Facts, worries: Sequence[str]) -> list[Section]:
    given = (
        ("Tables", table_rows(facts), "No table is configured."),
        ("Bars that arrived", arrived_rows(facts), "No instrument is configured."),
        ("Newest rows", lag_rows(facts), ""),
        ("Findings on candles", finding_rows(facts), "Nothing was found."),
        ("Missing values by feature", missing_rows(facts), "No feature lacks a value."),
        ("Asset checks, newest evaluation", check_rows(facts), ""),
    )
    made = [Section("What needs a look", [Bullets(list(worries))])] if worries else []
    for title, (head, rows), empty in given:
        if rows:
            made.append(Section(title, [Table(head, rows)]))
        elif empty:
            made.append(Section(title, [Text(empty)]))
    sources = [f"{name}: {count:,} headlines" for name, count in sorted(facts.headlines.items())]
    news = [*sources, *facts.clocks] or ["No headlines of the session are stored."]
    return [*made, Section("News and clocks", [Bullets(news)])]
