"""The hash chain of audit records: how a record is hashed, and how a trail is checked. No database belongs here.

Every record carries the hash of the one before it. Form 1 is what earlier versions of the platform wrote (no actor, no
detail); its records keep their hashes. The newest record's number and hash are kept beside the database as well (the
head), since a chain alone cannot show that its last records are missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

GENESIS = "0" * 64
FORM = 2
#: The columns of the table `audit`, in the order the functions here take and give them.
COLUMNS: tuple[str, ...] = (
    "seq",
    "at",
    "actor",
    "rollout_id",
    "model",
    "what",
    "why",
    "state",
    "weight",
    "detail",
    "form",
    "previous",
    "hash",
)


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a trail is whole. seq: the first record that is wrong or missing, and `why`.

    records: how many were read; hash: the last one's (GENESIS of an empty trail). head_checked: whether there was a
    head to hold the end of the trail against.
    """

    whole: bool
    records: int
    hash: str
    head_checked: bool
    seq: int | None = None
    why: str | None = None


def chain_hash(previous: str, fields: tuple) -> str:
    """The hash of a record: over the hash before it and its own fields."""
    return hashlib.sha256(msgspec.json.encode([previous, *fields])).hexdigest()


def record_hash(row: Mapping[str, Any]) -> str:
    """The hash of a row with COLUMNS, by its form."""
    names = ("at", "rollout_id", "model", "what", "why", "state", "weight")
    if row["form"] != 1:
        names = ("form", "seq", "at", "actor", "rollout_id", "model", "what", "why", "state", "weight", "detail")
    return chain_hash(row["previous"], tuple(row[name] for name in names))


def verify(rows: Iterable[tuple], head: tuple[int, str] | None = None) -> AuditVerdict:
    """Check a whole trail: rows with COLUMNS, oldest first, and the head kept beside it."""
    previous, count, at_head = GENESIS, 0, None

    def broken(seq: int, why: str) -> AuditVerdict:
        checked = head is not None
        return AuditVerdict(whole=False, records=count, hash=previous, head_checked=checked, seq=seq, why=why)

    for values in rows:
        row = dict(zip(COLUMNS, values, strict=True))
        seq, expected = int(row["seq"]), count + 1
        if seq > expected:
            return broken(expected, f"record {expected} is missing: record {seq} follows record {count}")
        if seq < expected:
            return broken(seq, f"record {seq} stands where record {expected} belongs")
        # What form 1 did not have its hashes do not cover: it is empty there, as the first start of this form left it.
        added = row["form"] == 1 and (row["actor"], row["detail"]) != ("", "{}")
        if added or row["hash"] != record_hash(row):
            return broken(seq, f"record {seq} was changed: its hash does not fit its content")
        if row["previous"] != previous:
            return broken(seq, f"record {seq} does not follow from the one before it")
        previous, count = row["hash"], seq
        if head is not None and seq == head[0]:
            at_head = row["hash"]
    if head is not None and head[0] > 0 and at_head != head[1]:
        if at_head is None:
            return broken(
                count + 1, f"record {count + 1} is missing: the trail ends before it, but record {head[0]} was written"
            )
        return broken(head[0], f"record {head[0]} is not the one that was written: the trail was replaced")
    return AuditVerdict(whole=True, records=count, hash=previous, head_checked=head is not None)


def read_head(path: Path) -> tuple[int, str] | None:
    """The head kept at `path`; None where there is none, or what is there cannot be understood."""
    try:
        content = msgspec.json.decode(Path(path).read_bytes())
        return int(content["seq"]), str(content["hash"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
