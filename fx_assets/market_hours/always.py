"""A market that never closes, such as crypto."""

from __future__ import annotations

import numpy as np

from fx_assets.market_hours.hours import Hours


class AlwaysOpen(Hours):
    """Open at every hour of every day. Its bars of four hours and of a day start at midnight UTC."""

    name = "always"
    session_grid = False

    def _intervals(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array([start], dtype="int64"), np.array([end], dtype="int64")
