"""What is old enough is deleted: segments whose records are all ingested, and rows. In small steps."""

from __future__ import annotations

import logging
from pathlib import Path

from fx_serving.client.prediction_db import id_hash
from fx_serving.client.prediction_records import KINDS, lines_from, segments
from fx_serving.config import LogSettings
from fx_serving.ingest.reader import Names
from fx_serving.ingest.tables import Database

log = logging.getLogger("fx_serving.ingest")

_DAY_S = 86_400
# A reader that looked at the tables just before a segment came into them must still find the segment.
_GRACE_S = 600
_ROWS = 2000
_BATCHES = 5


def drop_segments(database: Database, folder: Path, settings: LogSettings, names: Names, now: float) -> list[Path]:
    """Delete old segments; returns them. Never a worker's newest: the next one is numbered after it."""
    with database.transaction() as run:
        rows = run('SELECT name, first, "offset", at FROM ingested')
    known = {(name, first): (offset, at) for name, first, offset, at in rows}
    dropped = []
    for kind in KINDS:
        for paths in segments(folder, kind).values():
            for path in paths[:-1]:
                key = (path.name, names.first(path))
                offset, at = known.get(key, (0, 0))
                try:
                    age = now - path.stat().st_mtime
                except FileNotFoundError:
                    continue
                if age < settings.keep_segments_days * _DAY_S or now - at / 1e6 < _GRACE_S:
                    continue
                if any(True for _ in lines_from(path, offset)):
                    continue  # not all of it is in the tables
                path.unlink(missing_ok=True)
                with database.transaction() as run:
                    run("DELETE FROM ingested WHERE name = ? AND first = ?", key)
                dropped.append(path)
    if dropped:
        log.info("%d log segments deleted, older than %g days", len(dropped), settings.keep_segments_days)
    return dropped


def drop_rows(database: Database, settings: LogSettings, now: float) -> bool:
    """Delete some rows that are too old; True if there may be more. The ids of predictions are remembered (as 8 bytes
    each) as long again, so that feedback on them can be told from feedback on an id that never was.
    """
    cutoff, at = int((now - settings.keep_rows_days * _DAY_S) * 1e6), int(now * 1e6)
    for _ in range(_BATCHES):
        with database.transaction() as run:
            old = [id for (id,) in run(_OLD, (cutoff, _ROWS))]
            rows = [(id_hash(id), at) for id in old]
            database.insert(run, "INSERT INTO forgotten (id, at)", rows, "ON CONFLICT DO NOTHING")
            for id in old:
                run("DELETE FROM predictions WHERE id = ?", (id,))
        if len(old) < _ROWS:
            break
    more = len(old) == _ROWS
    with database.transaction() as run:
        for table, keys, time in _OTHERS:
            old = run(f"SELECT {keys} FROM {table} WHERE {time} < ? LIMIT ?", (cutoff, _ROWS))
            where = " AND ".join(f"{key} = ?" for key in keys.split(", "))
            for key in old:
                run(f"DELETE FROM {table} WHERE {where}", key)
            more = more or len(old) == _ROWS
    return more


_OLD = "SELECT id FROM predictions WHERE logged_at < ? ORDER BY logged_at LIMIT ?"
_OTHERS = (
    ("shadows", "prediction_id, rollout_id", "logged_at"),
    ("feedback", "id", "received_at"),
    ("decisions", "model, version, slot, instrument, at", "last_at"),
    ("outcomes", "model, instrument, at", "received_at"),
    ("forgotten", "id", "at"),
)
