"""What every way of splitting shares: a fold, its checked times, blocks of equal size, and purging with an embargo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fold:
    """Row numbers of one fold, ascending int64 arrays."""

    train: np.ndarray
    test: np.ndarray


def checked_times(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays. Raises ValueError unless they are equally long, not empty, and complete."""
    start, end = np.asarray(start), np.asarray(end)
    if len(start) != len(end) or np.isnat(start).any() or np.isnat(end).any():
        raise ValueError("start and end must have the same length and no missing times. Drop unlabelled rows first.")
    if not len(start):
        raise ValueError("no rows to split. Widen the training window or check that labels exist.")
    return start, end


def time_blocks(start: np.ndarray, blocks: int) -> np.ndarray:
    """The number of the block, 0 to blocks - 1, that each row is decided in, int64 (n,).

    Blocks follow one another in time and hold about as many rows each; no moment is in two of them.
    """
    ordered = np.sort(start)
    edges = ordered[len(ordered) * np.arange(1, blocks) // blocks]
    return np.searchsorted(edges, start, side="right")


def clear_of(start: np.ndarray, end: np.ndarray, first: object, last: object, embargo: np.timedelta64) -> np.ndarray:
    """Rows whose label's life keeps at least `embargo` away from the span [first, last], bool (n,).

    start, end: datetime64 (n,), decision and label end. first: first decision of a test block; last: its last label
    end. A label that ends just when the span begins, less the embargo, shares nothing with it.
    Source: Lopez de Prado (2018), Advances in Financial Machine Learning, section 7.4. The embargo there is kept after
    the test block only; here before it as well, because a feature may be known later than it says.
    """
    return (end <= first - embargo) | (start >= last + embargo)  # type: ignore[operator]


def purged(start: np.ndarray, end: np.ndarray, block: np.ndarray, tested: tuple[int, ...], gap: np.timedelta64) -> Fold:
    """The fold that tests some blocks and trains on every row that is clear of each of them.

    block: number of each row's block. Raises ValueError where no row is left to train on, or a block has none.
    """
    test = np.isin(block, tested)
    train = ~test
    for number in tested:
        inside = block == number
        if not inside.any():
            raise ValueError(f"block {number + 1} has no rows: too many share a moment. Use fewer folds.")
        train &= clear_of(start, end, start[inside].min(), end[inside].max(), gap)
    if not train.any():
        raise ValueError(
            f"testing block {', '.join(str(number + 1) for number in tested)} leaves no rows of {len(start)} to train "
            "on. Use more folds, a shorter embargo or a longer training window."
        )
    return Fold(np.flatnonzero(train), np.flatnonzero(test))
