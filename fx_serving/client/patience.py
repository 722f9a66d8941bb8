"""Asking again what the service cannot answer for the moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fx_serving.client.errors import ServiceError

PAUSE_S = 1.0
Told = TypeVar("Told")


def patiently(ask: Callable[[], Told], patience_s: float) -> Told:
    """What the service answers, asked again while nobody listens, no host leads, or its database is away (503).

    ask: what may be asked twice, by a request id for one. Raises as `ask` does, once patience_s have passed.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ask()
        except ServiceError as error:
            if error.status not in (None, 503) or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)
