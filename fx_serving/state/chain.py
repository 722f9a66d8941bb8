"""New records of the audit trail, and the file that keeps the newest one's number and hash beside the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client.audit_chain import COLUMNS, FORM, GENESIS, read_head, record_hash
from fx_serving.client.files import atomic_write
from fx_serving.state.rows import AuditEntry, AuditRecord, canonical, iso, moment, plain

log = logging.getLogger("fx_serving.state")

Tail = tuple[int, str]


def append(entries: Sequence[AuditEntry], tail: Tail) -> list[tuple]:
    """The rows (COLUMNS) that continue the trail behind `tail`."""
    rows = []
    for entry in entries:
        row: dict[str, Any] = {
            "seq": tail[0] + 1,
            "at": iso(entry.at),
            "actor": plain(entry.actor),
            "rollout_id": plain(entry.rollout_id),
            "model": plain(entry.model),
            "what": plain(entry.what),
            "why": plain(entry.why),
            "state": plain(entry.state),
            "weight": float(entry.weight),
            "detail": canonical(entry.detail),
            "form": FORM,
            "previous": tail[1],
        }
        row["hash"] = record_hash(row)
        rows.append(tuple(row[name] for name in COLUMNS))
        tail = (row["seq"], row["hash"])
    return rows


def record(values: Sequence[Any]) -> AuditRecord:
    """A row (COLUMNS) as it is given out."""
    row = dict(zip(COLUMNS, values, strict=True))
    del row["form"]
    row["at"] = moment(row["at"])
    row["detail"] = msgspec.json.decode(row["detail"])
    return AuditRecord(**row)


def start() -> Tail:
    """The tail of an empty trail."""
    return 0, GENESIS


class Head:
    """The file audit.head. It is never moved on over a trail that it does not fit: that would hide a cut."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def fits(self, tail: Tail, hash_of: Callable[[int], str | None]) -> bool:
        """Whether the trail in the database, before a commit, holds what the file says."""
        kept = None if self.path is None else read_head(self.path)
        if kept is None or kept == tail or kept[0] == 0:
            return True
        if hash_of(kept[0]) == kept[1]:
            return True
        log.warning("%s: audit record %d is not in the trail any more; run: fx audit verify", self.path, kept[0])
        return False

    def move(self, tail: Tail) -> None:
        """Write the new head. What cannot be written stays: an older head is still true."""
        if self.path is None:
            return
        try:
            content = msgspec.json.encode({"seq": tail[0], "hash": tail[1]})
            atomic_write(self.path, content, durable=False)
        except OSError as error:
            log.warning("%s: cannot be written: %s; the end of the audit trail is not guarded", self.path, error)
