"""How often the server is asked: the limit that answers 429, and the greatest rates that were seen."""

from __future__ import annotations

import time
from collections import deque


class Window:
    """Counts events, and the most of them that fell into one second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.total = self.most = 0

    def add(self) -> int:
        """One more; returns how many there were in the second that ends now."""
        now = time.monotonic()
        while self._times and self._times[0] <= now - 1:
            self._times.popleft()
        self._times.append(now)
        self.total += 1
        self.most = max(self.most, len(self._times))
        return len(self._times)


class Traffic:
    """Requests and new connections. OANDA counts by address; here every client has the same one."""

    def __init__(self, requests_per_s: int = 120):
        self.requests_per_s = requests_per_s
        self.requests, self.connections = Window(), Window()
        self._known: dict[tuple[str, int], None] = {}

    def allows(self, client: tuple[str, int] | None) -> bool:
        """Count one request of a client (address and port); whether it may be answered."""
        if client is not None and client not in self._known:
            self._known[client] = None
            if len(self._known) > 10_000:
                del self._known[next(iter(self._known))]
            self.connections.add()
        return self.requests.add() <= self.requests_per_s

    def figures(self) -> dict[str, int]:
        """Totals, and the most in any one second."""
        return {
            "requests": self.requests.total,
            "requests_per_s": self.requests.most,
            "connections": self.connections.total,
            "connections_per_s": self.connections.most,
        }
