"""History that `fx import` has put into bronze. There is nothing to fetch: the files are already there."""

from __future__ import annotations

from datetime import datetime


class ImportedCandles:
    """The source of an instrument whose only candles are imported files."""

    name = "import"

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> None:
        """None: nothing is fetched, bronze keeps what was imported."""
        return
