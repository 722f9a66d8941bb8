"""What a home's lake is now, table by table: reads listings and footers, never rows, and starts nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fx_assets.bronze.due import due, fetched_by_us, newest_fetches
from fx_assets.bronze.files import ALL_NEWS, CANDLES, NEWS, Bronze
from fx_assets.bronze.reference import known_digests
from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError
from fx_assets.inputs import BRONZE, REFERENCE_TABLES, Input, reference_inputs, table_inputs
from fx_assets.lake import Lake
from fx_assets.lineage import Lineage
from fx_assets.quality.held import TABLE, Held
from fx_assets.runs.backfill.work import CURRENT, FETCH, Work, in_order, onlookers, with_ancestors, work
from fx_assets.runs.sessions import begun_sessions, chosen_sessions
from fx_assets.schemas import build_schemas


def chosen_tables(wanted: Collection[str], tables: Sequence[str]) -> list[str]:
    """Tables by their names or their layers' (silver), in order; all for none. Raises ConfigError for a wrong one."""
    chosen: set[str] = set()
    for name in wanted:
        found = [table for table in tables if table == name or table.startswith(f"{name.rstrip('/')}/")]
        if not found:
            raise ConfigError(f"--tables: '{name}' is neither a table nor a layer. There are {', '.join(tables)}.")
        chosen.update(found)
    return [table for table in tables if not wanted or table in chosen]


def made_together(inputs: Mapping[str, Mapping[str, Input]]) -> list[list[str]]:
    """Tables that one step makes of the same fetches, such as candles and what was left out of them."""
    steps: dict[tuple[str, ...], list[str]] = {}
    for table, sources in inputs.items():
        if fetched := tuple(sorted(source.table for source in sources.values() if source.is_bronze)):
            steps.setdefault(fetched, []).append(table)
    return list(steps.values())


@dataclass
class Survey:
    """A home's partitions in a range of sessions. now: by the data clock. tables: see chosen_tables."""

    configuration: Configuration
    lake: Lake
    bronze: Bronze
    now: datetime
    first: str | None = None
    last: str | None = None
    tables: Collection[str] = ()
    held: Held | None = None
    inputs: Mapping[str, Mapping[str, Input]] = field(init=False)
    calendar: list[str] = field(init=False)
    sessions: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.inputs = table_inputs(self.configuration)
        self.calendar = begun_sessions(self.configuration, self.now)
        self.sessions = chosen_sessions(self.calendar, self.first, self.last, self.configuration.all_week)
        # Reference files have no sessions: they are copied before the survey.
        self.order = [table for table in in_order(self.inputs) if table not in REFERENCE_TABLES]
        self.named = chosen_tables(self.tables, self.order)
        self.fetched = {table: fetched_by_us(self.configuration, table) for table in (CANDLES, NEWS)}

    def work(self, given_up: Mapping[str, Collection[str]] | None = None, force: bool = False) -> Work:
        """What is due now. given_up: what is not tried again. force: the chosen tables are due, whatever they are."""
        needed = with_ancestors(self.named, self.inputs)
        tables = [table for table in self.order if table in needed]
        instruments = {CANDLES: list(self.configuration.instruments.instruments), NEWS: [ALL_NEWS]}
        schemas = build_schemas(self.configuration)
        files = known_digests(self.bronze, reference_inputs(self.inputs), self.calendar, self.configuration.all_week)
        lineage = Lineage(self.lake, self.bronze, schemas, self.inputs, self.calendar, instruments, files)
        beyond = self._beyond(tables)
        sessions = [*beyond, *self.sessions]
        states = {
            table: self._bronze(table) if table.startswith(BRONZE) else lineage.states(table, sessions)
            for table in tables
        }
        # What no source is asked for cannot be fetched again either.
        forced = [t for t in self.named if force and (not t.startswith(BRONZE) or self.fetched[t])]
        held = (TABLE, self.held.sessions() if self.held else ())
        together = made_together(self.inputs)

        def due_in(keys: list[str], beyond: Mapping[str, Collection[str]]) -> Work:
            outside = onlookers(held, set(keys), self.calendar, self.inputs)
            return work(keys, tables, self.inputs, states, forced, given_up, together, held, beyond, outside)

        found = due_in(sessions, beyond)
        if beyond and not any(row[: len(beyond)].any() for row in found.due.values()):
            return due_in(self.sessions, {})
        return found

    def _beyond(self, tables: Sequence[str]) -> dict[str, list[str]]:
        """Sessions before the range, with the tables made there that look ahead into it."""
        start, found = self.calendar.index(self.sessions[0]), {}
        for table in tables:
            ahead = max((source.ahead for source in self.inputs.get(table, {}).values()), default=0)
            before = self.calendar[max(0, start - ahead) : start]
            if before:
                exists = set(self.lake.keys(table))
                for key in before:
                    if key in exists:
                        found.setdefault(key, []).append(table)
        return dict(sorted(found.items()))

    def _bronze(self, table: str) -> dict[str, str]:
        """FETCH or CURRENT by session."""
        lacking = due(self.sessions, self.fetched[table], newest_fetches(self.bronze, table), self.now)
        return {key: FETCH if key in lacking else CURRENT for key in self.sessions}
