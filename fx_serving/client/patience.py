"""Asking again what the service cannot answer for the moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from fx_serving.client.errors import ServiceError, ServiceUnreachable

PAUSE_S = 1.0
#: Nobody listens, no host leads, or a proxy finds no host.
AWAY = (None, 502, 503, 504)
Told = TypeVar("Told")


def patiently(ask: Callable[[], Told], patience_s: float, listens_s: float | None = None) -> Told:
    """What the service answers, asked again while it is away (AWAY).

    ask: what may be asked twice, by a request id for one. listens_s: how long to wait where nobody listens at all;
    patience_s by default. Raises as `ask` does, once that time has passed, or at once what time does not mend.
    """
    began = time.monotonic()
    while True:
        try:
            return ask()
        except ServiceError as error:
            limit = patience_s if error.status is not None or listens_s is None else listens_s
            lasting = isinstance(error, ServiceUnreachable) and not error.mends
            if error.status not in AWAY or lasting or time.monotonic() - began > limit:
                raise
        time.sleep(PAUSE_S)
