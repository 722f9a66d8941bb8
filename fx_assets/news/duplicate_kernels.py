"""The compiled search for similar headlines. Import this module inside functions (numba is heavy)."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def most_similar(
    event_us: np.ndarray, shingles: np.ndarray, starts: np.ndarray, weights: np.ndarray, window_us: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each text the largest Jaccard similarity to an earlier one that is at most window_us old, and that one's row.

    event_us: int64 (n,), sorted; of equal times the earlier row is the earlier text. shingles: each text's numbers,
    those of text i from starts[i] to starts[i + 1]; a repeated one counts once. weights: what each number counts.
    Of equally similar texts the earliest is named; -1 where none has anything in common.
    """
    n = event_us.shape[0]
    share = np.zeros(n)
    other = np.full(n, -1, np.int64)
    # By number: the newest place it was seen, and from each place the one before. Walked until out of the window.
    newest = np.full(weights.shape[0], -1, np.int64)
    previous = np.empty(shingles.shape[0], np.int64)
    owner = np.empty(shingles.shape[0], np.int64)
    size = np.zeros(n, np.int64)
    common = np.zeros(n, np.int64)
    touched = np.empty(n, np.int64)
    for i in range(n):
        oldest = event_us[i] - window_us
        found = 0
        for place in range(starts[i], starts[i + 1]):
            kind = shingles[place]
            at = newest[kind]
            if at >= 0 and owner[at] == i:
                continue
            size[i] += weights[kind]
            previous[place] = at
            owner[place] = i
            newest[kind] = place
            while at >= 0 and event_us[owner[at]] >= oldest:
                row = owner[at]
                if common[row] == 0:
                    touched[found] = row
                    found += 1
                common[row] += weights[kind]
                at = previous[at]
        for k in range(found):
            row = touched[k]
            alike = common[row] / (size[i] + size[row] - common[row])
            if alike > share[i] or (alike == share[i] and row < other[i]):
                share[i] = alike
                other[i] = row
            common[row] = 0
    return share, other
