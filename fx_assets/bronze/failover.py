"""The sources of one run: made once, shared by its threads, and left out while they are dead.

A source that fails several times in a row rests; after a while one request tries it again. Otherwise a range of
2,600 sessions would wait 2,600 times for a source that is down. One that refuses (wrong key, unknown instrument) is
not asked again for that instrument in this run.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from fx_assets.configuration import InstrumentsFile
from fx_assets.errors import FxError
from fx_assets.sources import SourceError, SourceRefused, make_source
from fx_assets.sources.base import OutOfHistory
from fx_assets.storage.problems import without_secrets

FAILURES = 3  # in a row; then the source rests
REST_S, LONGEST_REST_S = 60.0, 600.0  # doubled each time that a trial after a rest fails
Answer = TypeVar("Answer")


@dataclass
class Breaker:
    """Whether a source may be asked now. Not safe for threads by itself: Sources locks it."""

    clock: Callable[[], float]
    failures: int = 0
    rest_s: float = REST_S
    until: float | None = None
    trial: bool = False
    last: str = ""

    def allows(self) -> bool:
        """False while the source rests. After that one caller is let through, and the others if it succeeds."""
        if self.until is None:
            return True
        if self.trial or self.clock() < self.until:
            return False
        self.trial = True
        return True

    def succeeded(self) -> None:
        """It answered: nothing is held against it any more."""
        self.failures, self.rest_s, self.until, self.trial = 0, REST_S, None, False

    def failed(self, why: str) -> None:
        """It did not answer. Requests that were under way when it broke do not prolong its rest, a trial does."""
        self.failures += 1
        self.last = why
        if self.trial:
            self.rest_s = min(2 * self.rest_s, LONGEST_REST_S)
        if self.trial or (self.until is None and self.failures >= FAILURES):
            self.until, self.trial = self.clock() + self.rest_s, False


@dataclass(frozen=True)
class Said:
    """Why a source was passed over: its name, for what, and its words without secrets."""

    source: str
    what: str
    words: str


@dataclass
class Sources:
    """Sources by the names of instruments.yaml. Use as a context manager: it gives their connections back."""

    file: InstrumentsFile
    clock: Callable[[], float] = time.monotonic
    _made: dict[str, Any] = field(default_factory=dict)
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    _refused: dict[tuple[str, str], str] = field(default_factory=dict)
    _said: Counter[Said] = field(default_factory=Counter)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._made.values():
            with suppress(Exception):  # what a connection says when it is closed does not matter any more
                source.close()

    def ask(self, name: str, what: str, question: Callable[[Any], Answer]) -> Answer:
        """The answer of a source to a question about `what` (an instrument, or "news").

        Raises SourceError with the reason, also without asking: a source at rest, or one that has refused before.
        `question` raises SourceError where an answer cannot be true; any other failure of it but our own errors
        becomes one.
        """
        with self._lock:
            if (name, what) in self._refused:
                raise SourceRefused(self._refused[name, what])
            breaker = self._breakers.setdefault(name, Breaker(self.clock))
            if not breaker.allows():
                raise SourceError(f"{name}: left out after {breaker.failures} failures; the last: {breaker.last}")
        try:
            answer = question(self._source(name))
        except SourceRefused as error:
            words = without_secrets(str(error))
            with self._lock:
                if not isinstance(error, OutOfHistory):  # that holds for one range only
                    self._refused[name, what] = words
                self._said[Said(name, what, words)] += 1
                breaker.succeeded()  # it answers, if only with a refusal
            raise SourceRefused(words) from None
        except SourceError as error:
            words = without_secrets(str(error))
            with self._lock:
                self._said[Said(name, what, words)] += 1
                breaker.failed(words)
            raise SourceError(words) from None
        except FxError as error:  # ours, with its own remedy; a trial must not stay open behind it
            with self._lock:
                breaker.failed(without_secrets(str(error)))
            raise
        except Exception as error:
            # Absurd values of an answer fail in many ways, in libraries too. Their words may hold parts of it.
            words = f"{name}: its answer could not be used ({type(error).__name__})"
            with self._lock:
                self._said[Said(name, what, words)] += 1
                breaker.failed(words)
            raise SourceError(words) from None
        with self._lock:
            breaker.succeeded()
        return answer

    def passed_over(self) -> list[dict[str, Any]]:
        """What sources have failed with so far: source, what, words, times; most frequent first."""
        with self._lock:
            counted = self._said.most_common(50)
        return [{"source": s.source, "what": s.what, "words": s.words, "times": times} for s, times in counted]

    def _source(self, name: str) -> Any:
        with self._lock:
            if name not in self._made:
                self._made[name] = make_source(name, self.file.source(name))
            return self._made[name]
