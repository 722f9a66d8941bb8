"""One instrument's bars as the labels read them: what several labels share is computed once.

All arrays are of length n, oldest bar first. What the labels mean is in fixed.py and barriers.py.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from fx_assets.features.blocks import MINUTE_US, NEW_YORK, Block, exponential, wall_minute
from fx_assets.labels.horizon import DAY_US, Horizon, reach_days, volatility_bars

NEVER = np.iinfo(np.int64).min  # as microseconds: NaT


class Series:
    """block: the bars. bar_minutes: their length. Not for use by several threads at once."""

    def __init__(self, block: Block, bar_minutes: int):
        self.block = block
        self.bar_minutes = bar_minutes
        self._rows: dict[tuple[Horizon, bool], np.ndarray] = {}
        self._forward: dict[Horizon, np.ndarray] = {}
        self._volatility: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.block.time_us)

    @cached_property
    def log_close(self) -> np.ndarray:
        return np.log(self.block.close)

    @cached_property
    def decision_us(self) -> np.ndarray:
        """When each bar closes, microseconds UTC: the decision time of its row."""
        return self.block.time_us + self.bar_minutes * MINUTE_US

    @cached_property
    def minute(self) -> np.ndarray:
        """New York minute of the day of each bar's open, int64 in [0, 1440)."""
        return self.block.slot

    def minute_after(self, minutes: int) -> np.ndarray:
        """As `minute`, of the moment that many minutes after the bar's open."""
        return wall_minute(self.block.time_us + minutes * MINUTE_US, NEW_YORK) % 1440

    def rows(self, horizon: Horizon, past: bool = False) -> np.ndarray:
        """As Horizon.rows."""
        key = (horizon, past)
        if key not in self._rows:
            self._rows[key] = horizon.rows(self.block.time_us, past)
        return self._rows[key]

    def forward_return(self, horizon: Horizon) -> np.ndarray:
        """Log return over the horizon, NaN where the bar at its end is not there."""
        if horizon not in self._forward:
            self._forward[horizon] = self._change(self.rows(horizon))
        return self._forward[horizon]

    def past_return(self, horizon: Horizon) -> np.ndarray:
        """Log return over the horizon that ends at the bar's close, NaN where the bar at its beginning is not there."""
        return -self._change(self.rows(horizon, past=True))

    def _change(self, rows: np.ndarray) -> np.ndarray:
        return np.where(rows >= 0, self.log_close[rows] - self.log_close, np.nan)

    def volatility(self, span: int) -> np.ndarray:
        """Root of the exponential mean of squared returns from bar to bar, up to the bar's close; log units, one bar.

        span: of the mean, in bars; volatility_bars(span) returns are taken, whatever lies between their bars. NaN where
        these are not there, or go back further than reach_days of so many bars: so a value is missing or the same, to
        the last bit, wherever the series starts.
        """
        if span not in self._volatility:
            self._volatility[span] = self._exponential_volatility(span)
        return self._volatility[span]

    def _exponential_volatility(self, span: int) -> np.ndarray:
        from fx_assets.features.kernels.ladder import ladder

        n, bars = len(self), volatility_bars(span)
        out = np.full(n, np.nan)
        if n <= bars:
            return out
        squared = np.zeros(n)
        np.square(np.diff(self.log_close), out=squared[1:])
        total, a, b = np.empty(n), np.empty(n), np.empty(n)
        ladder(squared, 1.0 - 2.0 / (span + 1.0), bars, a, b, total)
        time = self.block.time_us
        near = time[bars:] - time[:-bars] <= int(reach_days(bars * self.bar_minutes) * DAY_US)
        mean = total[bars:] / float(exponential(span, bars).sum())
        out[bars:] = np.where(near, np.sqrt(mean), np.nan)
        return out
