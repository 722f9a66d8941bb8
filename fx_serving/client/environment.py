"""The result of the platform's environment check, as trading steps and `fx rollout start` read it.

A check that failed blocks them until one has passed, and so does a result that cannot be read. Where none was ever made
nothing is blocked: the check says what it found, and not that it was not made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fx_serving.client.clock import to_iso
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

FORMAT = 1
REPEAT = "Mend it, and start the job environment_check (Dagster UI, or wait: it is repeated by itself)."


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at; remedy is empty where it is good."""

    good: bool
    what: str
    remedy: str = ""


class Result(msgspec.Struct, frozen=True):
    """What a check found. at: wall clock, UTC."""

    at: datetime
    passed: bool
    findings: list[Finding]
    format: int = FORMAT

    @property
    def bad(self) -> list[Finding]:
        """What must be mended."""
        return [finding for finding in self.findings if not finding.good]


def result_path(stores: Stores) -> Path:
    """Where the newest result lies."""
    return stores.home / "monitoring" / "environment.json"


def read_result(stores: Stores) -> Result | None:
    """The newest result; None where there is none. A file that cannot be read is a check that failed: nobody knows."""
    path = result_path(stores)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        finding = Finding(False, f"{path} cannot be read: {error}", "The next check writes it anew")
        return Result(datetime.now(UTC), False, [finding])


def write_result(stores: Stores, findings: Iterable[Finding], at: datetime | None = None) -> Result:
    """Keep the result of a check, and return it."""
    found = list(findings)
    result = Result(at or datetime.now(UTC), all(finding.good for finding in found), found)
    atomic_write(result_path(stores), msgspec.json.encode(result))
    return result


def blocked(stores: Stores) -> str | None:
    """Why trading steps (paper trading, the start of a rollout) must not run, with the remedy; None where they may."""
    result = read_result(stores)
    if result is None or result.passed:
        return None
    told = "; ".join(f"{finding.what}: {finding.remedy}" for finding in result.bad)
    return f"the environment check of {to_iso(result.at)} failed, so trading steps do not run: {told}. {REPEAT}"
