"""What the engine knows from outside, and its clock. RealSources asks workers' files, bundles and the prediction log;
a simulation brings its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.controller.facts import Suite
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.workers import confirmation
from fx_serving.evidence import Key, SlotEvidence, read_evidence

if TYPE_CHECKING:
    from fx_serving.ingest.query import Outcome


class BundleFacts(NamedTuple):
    """What the engine needs to know of a bundle."""

    instruments: tuple[str, ...]


class Clock(Protocol):
    """Time of day (UTC), and time that only goes on."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()


class Sources(Protocol):
    """The world as the engine sees it. inline: quick enough to be asked on the event loop."""

    inline: bool

    def counts(self) -> dict[Key, SlotEvidence]:
        """(model, version, slot) -> totals since the service started."""
        ...

    def confirmation(self, generation: int, model: str, version: str) -> tuple[bool, str | None]:
        """(every live worker has applied the table, a worker's reason for refusing the version)."""
        ...

    def bundle(self, model: str, version: str) -> BundleFacts | None:
        """What the bundle says; None if it is gone."""
        ...

    async def verify(self, model: str, version: str) -> str:
        """The reason for refusing the bundle; "" if it is good."""
        ...

    async def suite(self, rollout: Rollout) -> Suite:
        """Ask the candidate on every route."""
        ...

    def outcomes(self, model: str, version: str, slot: str, since: datetime) -> Sequence[Outcome]:
        """Predictions of a slot whose truth is known."""
        ...

    def keys(self, n: int) -> Sequence[str]:
        """The newest distinct routing keys; few or none where there is no traffic yet."""
        ...


class RealSources:
    """Files of the home, and the service itself."""

    inline = False

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.stores, self.config = stores, config

    def counts(self) -> dict[Key, SlotEvidence]:
        """(model, version, slot) -> totals over all workers since the service started."""
        return read_evidence(self.stores.evidence)

    def confirmation(self, generation: int, model: str, version: str) -> tuple[bool, str | None]:
        """(every live worker has applied the table, a worker's reason for refusing the version)."""
        return confirmation(self.stores.workers, generation, model, version)

    def bundle(self, model: str, version: str) -> BundleFacts | None:
        """What the manifest says; None if the folder is gone. What is wrong with it is for `verify` to tell."""
        folder = bundle_dir(self.stores.bundles, model, version)
        if not folder.is_dir():
            return None
        try:
            return BundleFacts(tuple(read_manifest(folder).instruments))
        except BundleError:
            return BundleFacts(())

    async def verify(self, model: str, version: str) -> str:
        """Try it out in a process of its own."""
        from fx_serving.controller.verify import verify

        return await verify(self.stores.bundles, model, version, self.config.sidecar.memory_mb)

    async def suite(self, rollout: Rollout) -> Suite:
        """Ask the candidate on every route of the public port."""
        from fx_serving.controller.suite import run_suite

        cases = rollout.settings.suite_cases
        return await run_suite(self.stores, self.config.access, rollout.model, rollout.version, cases)

    def outcomes(self, model: str, version: str, slot: str, since: datetime) -> Sequence[Outcome]:
        """From the database of ingested predictions; none while nothing is ingested."""
        from fx_serving.ingest import query

        return query.outcomes(self.stores, model, version, slot, since, datetime.now(UTC))  # type: ignore[arg-type]

    def keys(self, n: int) -> Sequence[str]:
        """From the database of ingested predictions."""
        from fx_serving.ingest import query

        return query.recent_keys(self.stores, n)
