"""A few values kept in order while a window moves along: one insertion a row instead of one sorting."""

from __future__ import annotations

import numpy as np

from fx_assets.features.kernels.compiled import kernel


@kernel()
def replaced(window, filled, gone, come):
    """Put `come` into the first `filled` values of a window, which are sorted, in place of `gone`; of none if NaN.

    With none, the window needs room for one value more.
    """
    here, there = 0, 0
    for k in range(filled):
        here += 1 if window[k] < gone else 0
        there += 1 if window[k] < come else 0
    if np.isnan(gone):
        here = filled
    if there > here:
        for k in range(here, there - 1):
            window[k] = window[k + 1]
        window[there - 1] = come
    else:
        for k in range(here, there, -1):
            window[k] = window[k - 1]
        window[there] = come
