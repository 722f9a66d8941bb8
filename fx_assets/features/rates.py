"""What holding the pair earns: the policy rate of the base currency less that of the quote, and how it has changed."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd

from fx_assets.errors import DataError
from fx_assets.features.blocks import MINUTE_US, Block, time_us
from fx_assets.features.cross import currencies
from fx_assets.features.economic import known_by
from fx_assets.features.reference import Reference
from fx_assets.features.spec import FeatureSpec, declare

CHANGE_US = 30 * 1440 * MINUTE_US


def _spec(name: str, description: str) -> FeatureSpec:
    return declare("rates", name, 1, "percentage points", "rates", "definition", description)


SPECS: tuple[FeatureSpec, ...] = (
    _spec("rate_differential", "Policy rate of the base less the quote's, known at the close; 0 if either is not"),
    _spec("rate_differential_change", "Change of rate_differential over the 30 days before the close; 0 if unknown"),
)


def compute(block: Block, instrument: str, reference: Reference, bar_us: int = 0) -> dict[str, np.ndarray]:
    """The rates features of one instrument, each float64 (n,), never NaN.

    bar_us: length of a bar in microseconds; the decision time is the bar's open plus this, the open itself with 0. An
    instrument that is no pair, or of a currency without rates such as gold, has 0 throughout.
    Raises DataError when the reference has no rates.
    """
    if reference.rates is None:
        raise DataError("rates features need policy rates. Pass Reference(rates=...), or leave them out.")
    decision = np.ascontiguousarray(block.time_us) + bar_us
    now = _differential(reference, instrument, decision)
    before = _differential(reference, instrument, decision - CHANGE_US)
    return {"rate_differential": np.nan_to_num(now), "rate_differential_change": np.nan_to_num(now - before)}


def _differential(reference: Reference, instrument: str, moments: np.ndarray) -> np.ndarray:
    """Base less quote as known at `moments`, NaN where either is not."""
    pair = currencies(instrument)
    if pair is None:
        return np.full(len(moments), np.nan)
    rates = []
    for currency in pair:
        known, rate = _history(reference, currency)
        # One place more in front: no rate known yet.
        rates.append(np.concatenate([[np.nan], rate])[known_by(known, moments)])
    return rates[0] - rates[1]


def _history(reference: Reference, currency: str) -> tuple[np.ndarray, np.ndarray]:
    key = ("rates", currency)
    if key not in reference.prepared:
        table = cast(pd.DataFrame, reference.rates)
        mine = table[table["currency"] == currency]
        reference.prepared[key] = (time_us(mine["available_at"]), mine["rate"].to_numpy(float))
    return cast(tuple[np.ndarray, np.ndarray], reference.prepared[key])
