"""Clients of the deployment service: steady live traffic, and history replayed as requests."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fx_serving.client.http import ServiceError, ServiceUnreachable, ServingClient

CLIENTS = 4
AGAIN_S = 0.2


@dataclass
class Counts:
    """What clients saw. failed: not answered 2xx after the client's one retry on a reset connection. late: answered
    after asking again, since nobody listened.
    """

    sent: int = 0
    failed: int = 0
    resets: int = 0
    late: int = 0
    by_version: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Take in another client's counts."""
        self.sent += other.sent
        self.failed += other.failed
        self.resets += other.resets
        self.late += other.late
        self.latencies_ms += other.latencies_ms
        self.errors = (self.errors + other.errors)[:10]
        for version, number in other.by_version.items():
            self.by_version[version] = self.by_version.get(version, 0) + number

    def quantile_ms(self, q: float) -> float:
        """A quantile of the clients' latencies in milliseconds; NaN without requests."""
        if not self.latencies_ms:
            return float("nan")
        ordered = sorted(self.latencies_ms)
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def _ask(client: ServingClient, counts: Counts, request: Mapping[str, Any], patience_s: float) -> None:
    """Ask for a prediction; while nobody listens, again by the same id, for so long."""
    started = time.perf_counter()
    counts.sent += 1
    request = {"request_id": uuid.uuid4().hex, **request}
    late = False
    while True:
        try:
            answer = client.predict(**request)
            break
        except ServiceUnreachable as error:
            if time.perf_counter() - started < patience_s:
                late = True
                time.sleep(AGAIN_S)
                continue
            failure: ServiceError | ServiceUnreachable = error
        except ServiceError as error:
            failure = error
        counts.failed += 1
        counts.errors.append(str(failure))
        return
    counts.late += late
    counts.latencies_ms.append((time.perf_counter() - started) * 1000)
    version = f"{answer['model']} {answer['model_version']} {answer['slot']}"
    counts.by_version[version] = counts.by_version.get(version, 0) + 1


class LiveTraffic:
    """Requests for the newest features of every instrument, at a steady rate, between start() and stop()."""

    def __init__(self, url: str, instruments: Sequence[str], per_second: float, patience_s: float = 0.0):
        self.url, self.instruments, self.per_second = url, list(instruments), per_second
        self.patience_s = patience_s
        self.counts = Counts()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to ask."""
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the requests under way; then `counts` is complete. Does nothing when it was never started."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        counts, pause, turn = Counts(), CLIENTS / self.per_second, number
        with ServingClient(self.url) as client:
            while not self._stop.is_set():
                due = time.monotonic() + pause
                request = {"instrument": self.instruments[turn % len(self.instruments)]}
                _ask(client, counts, request, self.patience_s)
                turn += 1
                self._stop.wait(max(0.0, due - time.monotonic()))
            counts.resets = client.resets
        with self._lock:
            self.counts.add(counts)


def replay(
    url: str, model: str, rows: Sequence[tuple[str, datetime, Mapping[str, float]]], patience_s: float = 0.0
) -> Counts:
    """Ask for a prediction for each (instrument, decision time, features), as fast as a few clients can."""
    total = Counts()

    def part(number: int) -> Counts:
        counts = Counts()
        with ServingClient(url) as client:
            for instrument, moment, features in rows[number::CLIENTS]:
                request = {"instrument": instrument, "timestamp": moment, "features": features, "model": model}
                _ask(client, counts, request, patience_s)
            counts.resets = client.resets
        return counts

    with ThreadPoolExecutor(CLIENTS) as pool:
        for counts in pool.map(part, range(CLIENTS)):
            total.add(counts)
    return total
