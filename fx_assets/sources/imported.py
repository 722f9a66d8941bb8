"""History that `fx import` has put into bronze. There is nothing to fetch: the files are already there."""

from __future__ import annotations

from datetime import datetime

from fx_assets.sources.options import Imported


class ImportedCandles:
    """The source of an instrument whose only candles are imported files."""

    def __init__(self, name: str, options: Imported):
        self.name = name

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> None:
        """None: nothing is fetched, bronze keeps what was imported."""
        return

    def close(self) -> None:
        """Nothing is held open."""
