"""What a run is to materialize: the words that parent and child exchange. Light, so that the CLI starts fast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

ASSETS_LOCATION = "fx_assets.definitions"
MONITORING_LOCATION = "fx_monitoring.definitions"


class PlannedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One Dagster run: which assets (slash-separated keys) of which code location, for which sessions.

    first and last: the range of sessions, both included; equal for one session, None for unpartitioned assets.
    """

    assets: list[str]
    location: str = ASSETS_LOCATION
    first: str | None = None
    last: str | None = None
    tags: dict[str, str] = {}


class RunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What the child reports, one JSON line each.

    kind: started | materialized | check_failed | step_done | log | finished. asset and partition where they apply,
    rows of a partition that was materialized; text for people; ok and run_id on finished.
    """

    kind: str
    run: int
    asset: str | None = None
    partition: str | None = None
    rows: int | None = None
    seconds: float | None = None
    text: str | None = None
    run_id: str | None = None
    ok: bool | None = None


class Runner(Protocol):
    """Executes runs: a process of this machine (start.RunProcess), or Dagster's launcher (launched.LaunchedRuns)."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def another(self) -> Runner:
        """One like it that works beside it."""
        ...

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> list[str]:
        """Execute runs one after another; returns their run ids. Raises start.RunFailed at the first that fails."""
        ...

    def interrupt(self) -> None:
        """End the run that another thread executes here; it fails there."""
        ...
