"""What time it is in the replayed history: FX_CLOCK's `instant@wall instant`, kept by the server itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from fx_serving.client.clock import to_iso


@dataclass(frozen=True)
class ReplayClock:
    """It was `instant` when the wall clock stood at `wall`, and has run at the wall clock's speed since. Both aware."""

    instant: datetime
    wall: datetime

    @classmethod
    def starting_now(cls, instant: datetime) -> ReplayClock:
        """It is `instant` now."""
        return cls(instant, datetime.now(UTC))

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self.instant.timestamp() + time.time() - self.wall.timestamp()

    @property
    def setting(self) -> str:
        """The value of FX_CLOCK with which every process reads the same time."""
        return f"{to_iso(self.instant)}@{to_iso(self.wall)}"
