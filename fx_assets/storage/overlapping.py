"""Doing the same for many files at once, so that waits for a disk or a network overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def overlapping(threads: int, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The function of every item, in order; the first error is raised after all have ended."""
    if len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(function, items))
