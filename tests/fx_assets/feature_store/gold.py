"""gold/features with made-up values, for tests of what is done with it: any bits, missing values among them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.schemas import views

AWKWARD = (np.nan, 5e-324, -5e-324, 0.0, -0.0, 1.7976931348623157e308, -2.2250738585072014e-308, 0.1)


def gold_rows(
    configuration: Configuration, symbols: Sequence[str], start: str, hours: int, seed: int = 7
) -> pd.DataFrame:
    """Hourly rows of each instrument from `start` (UTC, bar open), every feature of every view."""
    rng = np.random.default_rng(seed)
    names = [name for features in views(configuration).values() for name in features]
    opens = pd.date_range(start, periods=hours, freq="1h", tz="UTC", unit="us").repeat(len(symbols))
    values = rng.normal(size=(len(opens), len(names)))
    values[rng.random(values.shape) < 0.05] = np.nan
    values[-len(symbols) :, : len(AWKWARD)] = AWKWARD[: len(names)]
    frame = pd.DataFrame({"instrument": list(symbols) * hours, "time": opens})
    frame["available_at"] = (opens + pd.Timedelta("1h")).as_unit("us")
    return pd.concat([frame, pd.DataFrame(values, columns=names)], axis=1)


def write_gold(
    lake: Lake, configuration: Configuration, symbols: Sequence[str], first: str, sessions: int, seed: int = 7
) -> pd.DataFrame:
    """Sessions of 24 hourly rows from `first` (every day of the week is one); returns all rows."""
    made = {}
    for number, day in enumerate(pd.date_range(first, periods=sessions)):
        made[f"{day:%Y-%m-%d}"] = gold_rows(configuration, symbols, f"{day:%Y-%m-%d} 22:00", 24, seed + number)
    lake.write("gold/features", made)
    return pd.concat(made.values(), ignore_index=True)


def bits(values: object) -> list[int]:
    """float64 values as integers; every missing value as the same one."""
    found = np.ascontiguousarray(values, dtype="float64").ravel()
    return np.where(np.isnan(found), 0x7FF8000000000000, found.view(np.int64)).tolist()
