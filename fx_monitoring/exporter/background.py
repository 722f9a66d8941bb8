"""A collector at work: repeated in a thread of its own, with a time limit; its last figures are what a scrape gets.

A thread cannot be ended. One that hangs counts as down from its time limit on, is not started a second time, and its
old figures are left out once they are stale: a gap on a dashboard is honest, a frozen line is not.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fx_assets.errors import FxError
from fx_monitoring.exporter.catalogue import METRICS, Sample
from fx_monitoring.redact import without_credentials

log = logging.getLogger("fx_monitoring.exporter")

STALE_S = 300.0


@dataclass(frozen=True)
class Collector:
    """One source of figures. every_s: between two attempts; limit_s: what one may take."""

    name: str
    collect: Callable[[], Iterable[Sample]]
    every_s: float = 15.0
    limit_s: float = 10.0


class SourceDown(FxError):
    """A source that does not answer; `samples` say so, in place of the figures it gave before."""

    def __init__(self, words: str, *samples: Sample) -> None:
        super().__init__(words)
        self.samples = list(samples)


@dataclass(frozen=True)
class State:
    """What a scrape sees of a collector. up is None before its first attempt has ended; problem: in words."""

    name: str
    samples: Sequence[Sample]
    up: bool | None
    seconds: float | None
    age_s: float | None
    problem: str | None


class Background:
    """Keeps one collector's figures new. every_s: instead of the collector's own pause."""

    def __init__(
        self, collector: Collector, every_s: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.collector = collector
        self.every_s = every_s or collector.every_s
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"collect {collector.name}", daemon=True)
        self._samples: list[Sample] = []
        self._began: float | None = None
        self._collected: float | None = None
        self._seconds: float | None = None
        self._problem: str | None = None

    def start(self) -> None:
        """Begin to collect."""
        self._thread.start()

    def stop(self) -> None:
        """End after the running attempt; does not wait for it."""
        self._stop.set()

    def once(self) -> None:
        """One attempt, by the calling thread."""
        with self._lock:
            self._began = began = self._clock()
        samples, problem = None, None
        try:
            samples = [_checked(sample) for sample in self.collector.collect()]
        except SourceDown as error:
            samples, problem = error.samples, _words(error)
        except Exception as error:
            problem = _words(error)
        ended = self._clock()
        if problem is None and ended - began > self.collector.limit_s:
            problem = f"took {ended - began:.1f} s of at most {self.collector.limit_s:g} s"
        with self._lock:
            if problem != self._problem:
                told = f"fails: {problem}" if problem else "works again"
                log.log(logging.WARNING if problem else logging.INFO, "collector %s %s", self.collector.name, told)
            if samples is not None:
                self._samples, self._collected = samples, ended
            self._began, self._seconds, self._problem = None, ended - began, problem

    def state(self) -> State:
        """The figures and how their collection goes. Takes no longer than a lock."""
        with self._lock:
            now, name, limit = self._clock(), self.collector.name, self.collector.limit_s
            age = None if self._collected is None else now - self._collected
            stale = age is None or age > max(STALE_S, 3 * self.every_s + limit)
            problem, seconds = self._problem, self._seconds
            if self._began is not None and now - self._began > limit:
                seconds = now - self._began
                problem = f"has not answered for {seconds:.0f} s of at most {limit:g} s"
            up = None if seconds is None else problem is None
            return State(name, () if stale else self._samples, up, seconds, age, problem)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.once()
            self._stop.wait(self.every_s)


def _checked(sample: Sample) -> Sample:
    """A sample of a metric that exists, with all of its labels: another one would break the whole scrape."""
    metric = METRICS.get(sample.name)
    if metric is None or len(metric.labels) != len(sample.labels):
        raise ValueError(f"{sample.name}{sample.labels}: not in the catalogue of metrics")
    return sample


def _words(error: Exception) -> str:
    """An error for people: without a traceback, and without the secrets of an address."""
    first = next(iter(str(error).splitlines()), "")
    told = first if isinstance(error, FxError) else f"{type(error).__name__}: {first}"
    return without_credentials(told)
