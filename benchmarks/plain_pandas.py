"""The market features in plain pandas, the obvious way: rolling, ewm, shift; and rolling.apply, as the packages of
indicators do, for what pandas' windows have not: the place of the highest and the lowest (Aroon), the mean deviation
(CCI). With windows=True these are done in numpy.

Nothing of fx_assets.features is used in here but the names. So it is what the engine is measured against, and what the
tests compare its values with. Exponential means never end here; the engine's end after a stated number of bars.
One instrument at a time; the groups are in the files plain_*.py beside this one.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from benchmarks import plain_calendar, plain_regime, plain_technical, plain_trading, plain_volatility

GROUPS = {
    "technical": plain_technical.technical,
    "microstructure": plain_trading.microstructure,
    "volatility": plain_volatility.volatility,
    "regime": plain_regime.regime,
    "calendar": plain_calendar.calendar,
}


def plain_features(bars: pd.DataFrame, windows: bool = False) -> pd.DataFrame:
    """The features of one instrument's bars, sorted by time, as columns in no particular order.

    bars: time (tz-aware bar open), open, high, low, close, volume, bid_close, ask_close. Returns time and the features;
    missing until pandas has enough rows, which may be earlier than the engine's warm-up ends.
    """
    rows = bars.reset_index(drop=True)
    groups = {**GROUPS, "technical": partial(plain_technical.technical, windows=windows)}
    columns = {name: values for group in groups.values() for name, values in group(rows).items()}
    return pd.DataFrame({"time": rows["time"], **columns})
