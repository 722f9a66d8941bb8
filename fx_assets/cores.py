"""How many cores a piece of work may keep busy: all, or one where many pieces share the machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

_SHARE: ContextVar[int | None] = ContextVar("cores", default=None)


def cores() -> int:
    """Threads that compute at once, for work of this context."""
    return _SHARE.get() or os.cpu_count() or 1


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Within it cores() is 1, in this thread: what others beside it do is not to be held up."""
    token = _SHARE.set(1)
    try:
        yield
    finally:
        _SHARE.reset(token)
