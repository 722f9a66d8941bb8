"""Findings of the scans, and those that were reviewed: deploy/scan/reviewed.yaml."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import yaml

FILE = Path(__file__).with_name("reviewed.yaml")
#: Exit codes of a scan. "Not scanned" is neither clean nor found: whoever runs it must see which.
CLEAN, FOUND, NOT_SCANNED = 0, 1, 3


class NotScanned(Exception):
    """What a scan needs does not answer."""


class Finding(NamedTuple):
    """kind is advisory, yanked, licence, setuid, writable, user, secret or update; an exception names kind and what."""

    kind: str
    what: str
    more: str = ""


def reviewed() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def problems(found: Iterable[Finding], kinds: set[str], exceptions: list[dict[str, Any]], today: date) -> list[str]:
    """Findings that nobody explained; exceptions of the kinds scanned that are past their day, or explain nothing."""
    told, used = [], set()
    known = {(entry["kind"], entry["what"]): entry for entry in exceptions}
    for kind, what, more in sorted(set(found)):
        if (kind, what) in known:
            used.add((kind, what))
        else:
            told.append(f"{kind}: {what}{': ' if more else ''}{more}")
    for (kind, what), entry in known.items():
        if kind in kinds and (kind, what) not in used:
            told.append(f"{FILE.name}: {kind} {what} is explained and not found any more. Remove it")
        elif kind in kinds and entry["until"] < today:
            told.append(f"{FILE.name}: {kind} {what} was explained until {entry['until']}. Mend it or review it again")
    return told


def report(found: Iterable[Finding], kinds: set[str], not_scanned: list[str]) -> int:
    """Prints what is to be done, and gives the exit code."""
    told = problems(found, kinds, reviewed()["exceptions"], date.today())
    for line in told:
        print(line)
    for line in not_scanned:
        print(f"NOT SCANNED: {line}")
    if not told and not not_scanned:
        print("Nothing found that is not explained.")
    return FOUND if told else NOT_SCANNED if not_scanned else CLEAN
