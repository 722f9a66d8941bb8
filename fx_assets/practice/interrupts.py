"""Ctrl-C and SIGTERM of `fx practice`, which end it at whatever moment they come."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any


class Interrupts:
    """Takes both signals from its creation on (main thread only).

    A KeyboardInterrupt is lost where it is raised in code that may not fail, such as a finalizer or a callback of C
    code: so the signal is also remembered, and whoever starts something that lasts asks for it first.
    """

    def __init__(self) -> None:
        self._seen = False
        self._stop: Callable[[], object] | None = None
        # SIGINT too: a shell starts background commands with it ignored.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: Any) -> None:
        self._seen = True
        if self._stop is None:
            raise KeyboardInterrupt
        self._stop()

    def hand_over(self, stop: Callable[[], object]) -> None:
        """From now on a signal calls `stop` and raises nothing; at once, if one has come already."""
        self._stop = stop
        if self._seen:
            stop()
