"""What a partition was made of: the stamp in its file, and what it would have to be now.

A stamp holds no time and no run: the same inputs give the same stamp, and so the same bytes of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from fx_assets.inputs import Input, TableInputs
from fx_assets.schemas import Schema

# Raised by hand when a table's meaning changes; what was made before is then outdated.
CODE_VERSION = "2"
# Tables whose meaning is older than the newest version, so that what was made then need not be made again.
_UNCHANGED = {"silver/candles": "1", "silver/quarantine": "1", "gold/labels": "1"}
State = Literal["missing", "outdated", "blocked", "current"]


class Stamp(msgspec.Struct, frozen=True):
    """What a partition is, and what it was made of.

    content: hash of the frame (schemas.content_hash). inputs: see inputs_digest. code: see code_version. schema: see
    schema_hash. problems: why nothing may be built on this partition; empty when good.
    """

    content: str
    inputs: str = ""
    code: str = CODE_VERSION
    schema: str = ""
    problems: tuple[str, ...] = ()


def code_version(table: str) -> str:
    """The version of the code that makes a table."""
    return _UNCHANGED.get(table, CODE_VERSION)


class StampedTables(Protocol):
    """The part of a lake that lineage needs."""

    def stamps(self, table: str, keys: Iterable[str] | None = None) -> dict[str, Stamp | None]:
        """Stamps of the partitions that exist, None for one without."""
        ...


class BronzeDigests(Protocol):
    """The part of bronze that lineage needs."""

    def digests(self, table: str, sessions: Iterable[str], instruments: Iterable[str]) -> dict[str, str]:
        """One digest a session over what was fetched; empty where nothing was."""
        ...


def schema_hash(schema: Schema) -> str:
    """Of the columns' names, types and key: what a stored partition must agree with to be read as this table."""
    columns = [[c.name, c.dtype, c.nullable, c.low, c.high] for c in schema.columns]
    return hashlib.sha256(msgspec.json.encode([schema.table, schema.key, columns])).hexdigest()[:16]


def neighbours(position: int, source: Input, calendar: Sequence[str]) -> Sequence[str]:
    """The sessions that an input takes for the session at `position` of the calendar, its own included."""
    return calendar[max(0, position - source.before) : position + source.ahead + 1]


def usable_contents(stamps: Mapping[str, Stamp | None]) -> dict[str, str]:
    """The content of each partition that may be built on. One from before there were stamps is taken as it is."""
    return {
        key: "unstamped" if stamp is None else stamp.content
        for key, stamp in stamps.items()
        if stamp is None or not stamp.problems
    }


def inputs_digest(parts: Iterable[tuple[Input, Iterable[str], Mapping[str, str]]]) -> str:
    """Over (input, the sessions it takes, content by session), in order of declaration.

    Sessions that are not there, or may not be built on, are left out: when they come, the digest changes.
    """
    digest = hashlib.sha256()
    for source, sessions, contents in parts:
        if source.setting:
            digest.update(f"{source.table} setting {source.setting}\n".encode())
        for key in sessions:
            if content := contents.get(key):
                digest.update(f"{source.table} {key} {content}\n".encode())
    return digest.hexdigest()


class Lineage:
    """What the partitions of a lake would be stamped with if they were made now."""

    def __init__(
        self,
        lake: StampedTables,
        bronze: BronzeDigests,
        schemas: Mapping[str, Schema],
        inputs: TableInputs,
        calendar: Sequence[str],
        fetched: Mapping[str, Sequence[str]],
        known: Mapping[str, Mapping[str, str]] | None = None,
    ):
        """calendar: all sessions, sorted. fetched: instruments by bronze table. known: contents by table and session,
        for inputs that are neither (reference files). Footers are read once and kept.
        """
        self._lake = lake
        self._bronze = bronze
        self._schemas = schemas
        self._inputs = inputs
        self._calendar = list(calendar)
        self._position = {key: n for n, key in enumerate(self._calendar)}
        self._fetched = fetched
        self._known: dict[str, Mapping[str, str]] = dict(known or {})
        self._stamps: dict[str, dict[str, Stamp | None]] = {}

    def stamps(self, table: str) -> dict[str, Stamp | None]:
        """All stamps of a table."""
        if table not in self._stamps:
            self._stamps[table] = self._lake.stamps(table)
        return self._stamps[table]

    def _contents(self, source: Input) -> Mapping[str, str]:
        if source.table not in self._known:
            self._known[source.table] = (
                self._bronze.digests(source.table, self._calendar, self._fetched[source.table])
                if source.is_bronze
                else usable_contents(self.stamps(source.table))
            )
        return self._known[source.table]

    def expected_inputs(self, table: str, keys: Iterable[str]) -> dict[str, str]:
        """Stamp.inputs of each of `keys`, if it were made of what lies in the lake now."""
        sources = [(source, self._contents(source)) for source in self._inputs[table].values()]
        return {
            key: inputs_digest(
                (source, neighbours(self._position[key], source, self._calendar), contents)
                for source, contents in sources
            )
            for key in keys
        }

    def states(self, table: str, keys: Iterable[str]) -> dict[str, State]:
        """How each partition stands to what lies in the lake now.

        missing: no file. outdated: made of other inputs, by other code, of another schema, or without a stamp.
        blocked: up to date, but with problems: making it again changes nothing until its inputs change.
        A table above an outdated one is judged by what is there, and outdated as soon as that is made again.
        """
        wanted = list(keys)
        stamps, schema, code = self.stamps(table), schema_hash(self._schemas[table]), code_version(table)
        expected = self.expected_inputs(table, [key for key in wanted if stamps.get(key) is not None])

        def state(key: str) -> State:
            if key not in stamps:
                return "missing"
            stamp = stamps[key]
            if stamp is None or (stamp.inputs, stamp.code, stamp.schema) != (expected[key], code, schema):
                return "outdated"
            return "blocked" if stamp.problems else "current"

        return {key: state(key) for key in wanted}
