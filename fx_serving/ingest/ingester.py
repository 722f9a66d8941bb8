"""The ingester: takes new lines of the segments into a database, rows and offset in one transaction."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fx_serving.client.home import Stores
from fx_serving.client.prediction_records import decode
from fx_serving.config import LogSettings
from fx_serving.ingest import retention
from fx_serving.ingest.reader import Lines, Names, Segment, next_lines, size, survey
from fx_serving.ingest.tables import Database, Refused, Run, save, settle

log = logging.getLogger("fx_serving.ingest")

_LINES, _BYTES = 1000, 4 * 1024 * 1024
#: Chunks of one pass: a second or two, so that a backlog delays neither the end of the process nor feedback for long.
_CHUNKS = 40
_RETENTION_EVERY_S = 60.0


@dataclass(frozen=True)
class Pass:
    """What one pass did. behind_bytes: what was in the segments and not in the tables when it ended. more: it ended
    before all was taken.
    """

    records: int
    behind_bytes: int
    more: bool = False


class Ingester:
    """Works on one home's segments. Several may run (a new one starts while the old one dies): an offset that another
    moved on is taken over, and a row that is there already changes nothing.
    """

    def __init__(
        self, folder: Path, database: Database, settings: LogSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.database, self.settings, self.clock = folder, database, settings, clock
        self._names = Names()
        self._offsets: dict[tuple[str, str], int] | None = None
        self._retained = float("-inf")

    def step(self) -> Pass:
        """One pass: new lines, feedback tied to its decisions, and now and then what is old deleted.

        Raises DatabaseError; what was committed before stays, and the next pass goes on behind it.
        """
        records, chunks, moved = 0, 0, True
        try:
            while moved and chunks < _CHUNKS:  # one chunk of each in turn
                moved = False
                for segment in survey(self.folder):
                    if chunks < _CHUNKS and (taken := self._next(segment)) is not None:
                        records, chunks, moved = records + taken, chunks + 1, True
            behind = self._behind()
            self._settle(behind == 0)
            self._retain()
        except BaseException:
            self._offsets = None  # what the database holds now has to be asked
            raise
        return Pass(records, behind, moved)

    def _next(self, segment: Segment) -> int | None:
        """Take one chunk of a segment; None if there is nothing new in it."""
        key = (segment.path.name, self._names.first(segment.path))
        if not key[1]:
            return None
        begin = self._load().get(key, 0)
        if size(segment.path) <= begin:
            return None
        lines = next_lines(segment.path, begin, _LINES, _BYTES)
        return self._take(segment, key, lines) if lines.content else None

    def _take(self, segment: Segment, key: tuple[str, str], lines: Lines) -> int:
        """Rows and offset, or nothing. Lines that the database refuses are halved until the bad one is alone."""
        try:
            return self._commit(segment, key, lines, refuse=False)
        except Refused as error:
            if len(lines.content) == 1:
                log.error("%s: the record at byte %d is left out: %s", segment.path, lines.begin, error)
                return self._commit(segment, key, lines, refuse=True)
            half = next_lines(segment.path, lines.begin, len(lines.content) // 2, _BYTES)
            return self._take(segment, key, half)

    def _commit(self, segment: Segment, key: tuple[str, str], lines: Lines, refuse: bool) -> int:
        decoded = [] if refuse else [decode(line, segment.kind) for line in lines.content]
        records = [record for record in decoded if record is not None]
        skipped = len(lines.content) - len(records)
        with self.database.transaction() as run:
            held = self._offset(run, key)
            if held == lines.begin:
                save(self.database, run, records)
                self._write_offset(run, key, lines.end, len(records), skipped)
                held = lines.end
            else:
                records = []
        self._load()[key] = held
        return len(records)

    def _offset(self, run: Run, key: tuple[str, str]) -> int:
        """Where the segment is read to; held fast until the transaction ends."""
        run('INSERT INTO ingested (name, first, "offset", records, skipped, at) VALUES (?, ?, 0, 0, 0, 0) '
            "ON CONFLICT DO NOTHING", key)  # fmt: skip
        return run(f'SELECT "offset" FROM ingested WHERE name = ? AND first = ?{self.database.locking}', key)[0][0]

    def _write_offset(self, run: Run, key: tuple[str, str], end: int, records: int, skipped: int) -> None:
        run(
            'UPDATE ingested SET "offset" = ?, records = records + ?, skipped = skipped + ?, at = ? '
            "WHERE name = ? AND first = ?",
            (end, records, skipped, self._now(), *key),
        )

    def _load(self) -> dict[tuple[str, str], int]:
        if self._offsets is None:
            with self.database.transaction() as run:
                rows = run('SELECT name, first, "offset" FROM ingested')
            self._offsets = {(name, first): offset for name, first, offset in rows}
        return self._offsets

    def _behind(self) -> int:
        """The torn end of a closed segment does not count: nothing comes of it any more."""
        offsets, behind = self._load(), 0
        for segment in survey(self.folder):
            begin = offsets.get((segment.path.name, self._names.first(segment.path)), 0)
            missing = size(segment.path) - begin
            if missing > 0 and (not segment.closed or next_lines(segment.path, begin, 1, 1).content):
                behind += missing
        return behind

    def _settle(self, caught_up: bool) -> None:
        with self.database.transaction() as run:
            settle(run, self._now(), caught_up)

    def _retain(self) -> None:
        if self.clock() - self._retained < _RETENTION_EVERY_S:
            return
        for path in retention.drop_segments(self.database, self.folder, self.settings, self._names, self.clock()):
            self._names.forget(path)
        if not retention.drop_rows(self.database, self.settings, self.clock()):
            self.database.tidy()
            self._retained = self.clock()

    def _now(self) -> int:
        return int(self.clock() * 1e6)


def open_database(stores: Stores) -> Database:
    """The home's database of ingested predictions; connected to by its first transaction."""
    where = stores.state
    if isinstance(where, str):
        from fx_serving.ingest.postgres import PostgresDatabase

        return PostgresDatabase(where)
    from fx_serving.ingest.sqlite import SqliteDatabase

    return SqliteDatabase(stores.predictions_db)
