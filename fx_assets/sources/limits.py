"""How often a host may be asked: token buckets for requests and for new connections, shared by all its clients.

They hold within one process. A bucket never sleeps under its lock, and gives turns in the order of asking.
"""

from __future__ import annotations

import math
import threading
import time


class TokenBucket:
    """Lets at most `limit` callers through in any second; a tenth of the limit may come at once.

    Another tenth stays unused: callers that wake up late come closer together than they were let through. Up to 1 a
    second the limit is the distance between two callers.
    """

    def __init__(self, limit: float = math.inf):
        """limit: per second, above 0; without one nobody waits."""
        self.limit = math.inf
        self._lock = threading.Lock()
        self._full_at = 0.0  # monotonic time at which the bucket is full again
        self._interval = self._tolerance = 0.0
        self.tighten(limit)

    def tighten(self, limit: float) -> None:
        """Hold to `limit` from now on, unless a stricter one holds already."""
        with self._lock:
            if limit < self.limit:
                burst = max(1.0, 0.1 * limit)
                rate = limit if limit <= 1 else max(1.0, 0.9 * limit - burst)
                self.limit, self._interval, self._tolerance = limit, 1 / rate, (burst - 1) / rate

    def acquire(self) -> float:
        """Wait for a turn; returns the seconds waited."""
        with self._lock:
            now = time.monotonic()
            full_at = max(now, self._full_at)
            self._full_at = full_at + self._interval
            wait = full_at - self._tolerance - now
        if wait <= 0:
            return 0.0
        time.sleep(wait)
        return wait


class Limits:
    """Of one host, in one process."""

    def __init__(self) -> None:
        self.requests = TokenBucket()
        self.connections = TokenBucket()


_hosts: dict[str, Limits] = {}
_hosts_lock = threading.Lock()


def host_limits(host: str, requests_per_s: float | None = None, connections_per_s: float | None = None) -> Limits:
    """The limits of a host, the same for every client in this process; of several limits the strictest holds.

    host: name and port, such as api-fxtrade.oanda.com or 127.0.0.1:8080. None: no limit from this caller.
    """
    with _hosts_lock:
        limits = _hosts.setdefault(host, Limits())
    limits.requests.tighten(math.inf if requests_per_s is None else requests_per_s)
    limits.connections.tighten(math.inf if connections_per_s is None else connections_per_s)
    return limits
