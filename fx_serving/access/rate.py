"""How often one caller may ask: a token bucket for each, in the memory of one worker."""

from __future__ import annotations

import math
import time


class Rates:
    """Buckets by caller's name. `share` is this worker's part of each rate: callers' connections spread over all."""

    def __init__(self, rate_per_s: float, burst: int, share: float = 1.0) -> None:
        self.rate_per_s, self.burst, self.share = rate_per_s, burst, share
        self._buckets: dict[str, tuple[float, float]] = {}  # name: (left, when)

    def wait_s(self, name: str, own: float | None, now: float | None = None) -> int:
        """0 where the request may pass (and is counted); else the whole seconds after which one may."""
        rate = (self.rate_per_s if own is None else own) * self.share
        if rate <= 0:
            return 0
        now = time.monotonic() if now is None else now
        # Without a stated burst: what one second allows, and at least one request.
        most = max(1.0, self.burst * self.share if self.burst and own is None else rate)
        left, seen = self._buckets.get(name, (most, now))
        left = min(most, left + (now - seen) * rate)
        if left >= 1:
            self._buckets[name] = (left - 1, now)
            return 0
        self._buckets[name] = (left, now)
        return max(1, math.ceil((1 - left) / rate))

    def keep(self, names: set[str]) -> None:
        """Forget the buckets of callers that are gone."""
        for name in self._buckets.keys() - names:
            del self._buckets[name]
