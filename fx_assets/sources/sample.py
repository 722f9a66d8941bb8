"""The sample that ships with the project, read as if it were a broker: an ordinary source, only without a network."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from fx_assets.sources.base import SourceRefused
from fx_assets.sources.options import Sample
from fx_serving.client import clock

FOLDER = Path(__file__).parents[1] / "sample"

# The news file tells the hour a headline was collected in, not the minute: it is known at the hour's end.
COLLECTION_DELAY = pd.Timedelta(hours=1).as_unit("us")


class SampleSource:
    """Hourly candles of four pairs and hourly headlines, 2020-10 to 2022-03 (see fx_assets/sample/NOTICE.md)."""

    def __init__(self, name: str, options: Sample):
        self.name = name

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> pd.DataFrame:
        """See CandleSource. Raises SourceRefused for an instrument or granularity the sample does not have."""
        path = FOLDER / f"{instrument}_{granularity}.parquet"
        if not path.is_file():
            have = ", ".join(sorted(p.stem for p in FOLDER.glob("*_H1.parquet")))
            raise SourceRefused(
                f"sample: no {granularity} candles of {instrument}; it has {have}. "
                "Name another source in instruments.yaml."
            )
        return _between(_read(path), "time", start, end)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource. What lies behind the data clock has not been published yet."""
        frame = _read(FOLDER / "news.parquet")
        return _between(
            frame.assign(first_seen=frame["published"] + COLLECTION_DELAY), "first_seen", start, min(end, clock.now())
        )

    def close(self) -> None:
        """Nothing is held open."""


@cache
def _read(path: Path) -> pd.DataFrame:
    frame = pq.read_table(path).to_pandas()
    return frame.astype({"volume": "float64"}) if "volume" in frame.columns else frame


def _between(frame: pd.DataFrame, column: str, start: datetime, end: datetime) -> pd.DataFrame:
    """Rows with start <= column < end; the files are sorted by it."""
    first, last = frame[column].searchsorted(pd.DatetimeIndex([start, end]))
    return frame.iloc[first:last].reset_index(drop=True)
