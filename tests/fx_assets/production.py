"""A table of two columns made from another one: the engine without Dagster."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fx_assets.inputs import Input
from fx_assets.lake import Lake
from fx_assets.resources.compute import ComputeResource
from fx_assets.schemas import UTC_TIME, Column, Schema
from fx_assets.sessions import session_bounds
from fx_assets.tables.elsewhere import run_elsewhere
from fx_assets.tables.histories import by_session
from fx_assets.tables.produce import Computed, Production, Staged
from fx_assets.tables.reader import TableReader

CALENDAR = [str(d.date()) for d in pd.date_range("2021-01-31", "2021-03-04") if d.weekday() not in (4, 5)]
SOURCE, RESULT = "silver/closes", "silver/means"
LOOKBACK, WINDOW = 2, 30
_KEYS = (Column("instrument", "object", "symbol"), Column("time", UTC_TIME, "bar open"))
CLOSES = Schema(SOURCE, "Closes.", (*_KEYS, Column("close", "float64", "price")))
MEANS = Schema(RESULT, "Means.", (*_KEYS, Column("mean", "float64", "mean of some closes", nullable=True)))


def closes(key: str, hours: Sequence[int] = range(24)) -> pd.DataFrame:
    """One session of two instruments, the same whenever it is asked for."""
    start = session_bounds(key)[0]
    times = pd.DatetimeIndex([start + pd.Timedelta(hours=hour) for hour in hours]).as_unit("us")
    rng = np.random.default_rng(int(key.replace("-", "")))
    frames = [pd.DataFrame({"instrument": i, "time": times, "close": 1 + rng.random(len(times))}) for i in "AB"]
    return pd.concat(frames).sort_values(["time", "instrument"], ignore_index=True)


def fill(lake: Lake, keys: Sequence[str] = CALENDAR) -> None:
    """The source table, made by the engine itself."""
    production = Production(lake, [CLOSES], [], 48)
    made = production.run(keys, lambda chunk: Computed({SOURCE: pd.concat([closes(key) for key in chunk])}))
    made[SOURCE].publish()


def means(bars: pd.DataFrame) -> pd.DataFrame:
    """The mean of the last WINDOW closes."""
    ordered = bars.sort_values(["instrument", "time"], ignore_index=True)
    mean = ordered.groupby("instrument")["close"].transform(lambda c: c.rolling(WINDOW).max() + c.rolling(2).min())
    return ordered[["instrument", "time"]].assign(mean=mean)


def stage(lake: Lake, keys: Sequence[str], cells: int | None = None, workers: ComputeResource | None = None) -> Staged:
    """The result table of `keys`, staged, by `workers` if there are any."""
    wanted = sorted({CALENDAR[n] for key in keys for n in range(max(0, CALENDAR.index(key) - LOOKBACK), len(CALENDAR))})
    reader = TableReader(lake, CLOSES, Input(SOURCE, LOOKBACK), CALENDAR, lake.stamps(SOURCE, wanted))

    def compute(chunk: list[str]) -> Computed:
        return Computed(
            {RESULT: by_session(chunk, reader.read(chunk), means, LOOKBACK, {"mean": WINDOW}, CALENDAR)},
            problems={RESULT: {key: ["it is a Tuesday"] for key in chunk if key == "2021-02-02"}},
            figures={RESULT: {key: {"bars": 48} for key in chunk}},
        )

    production = Production(lake, [MEANS], [reader], 48)
    if workers is not None:
        return run_elsewhere(production, keys, compute, workers, cells=cells)[RESULT]
    return production.run(keys, compute, cells)[RESULT]
