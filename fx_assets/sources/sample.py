"""The sample that ships with the project, read as if it were a broker: an ordinary source, only without a network."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from fx_assets.sources.base import SourceError

FOLDER = Path(__file__).parents[1] / "sample"

# The news file tells the hour a headline was collected in, not the minute: it is known at the hour's end.
COLLECTION_DELAY = pd.Timedelta(hours=1)


class SampleSource:
    """Hourly candles of four pairs and hourly headlines, 2020-10 to 2022-03 (see fx_assets/sample/NOTICE.md)."""

    name = "sample"

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Raises SourceError for an instrument or granularity the sample does not have."""
        path = FOLDER / f"{instrument}_{granularity}.parquet"
        if not path.is_file():
            have = ", ".join(sorted(p.stem for p in FOLDER.glob("*_H1.parquet")))
            raise SourceError(
                f"sample: no {granularity} candles of {instrument}; it has {have}. "
                "Name another source in instruments.yaml."
            )
        return _between(_read(path), "time", start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource."""
        frame = _read(FOLDER / "news.parquet")
        return _between(frame.assign(first_seen=frame["published"] + COLLECTION_DELAY), "first_seen", start, end)


@cache
def _read(path: Path) -> pd.DataFrame:
    return pq.read_table(path).to_pandas()


def _between(frame: pd.DataFrame, column: str, start: datetime, end: datetime) -> pd.DataFrame:
    """Rows with start <= column < end; the files are sorted by it."""
    first, last = frame[column].searchsorted(pd.DatetimeIndex([start, end]))
    return frame.iloc[first:last].reset_index(drop=True)
