"""Features of bid and ask and of volume where only some bars, or only some instruments, have them."""

import numpy as np
import pandas as pd

from fx_assets.features import specs
from fx_assets.features.filled import filled_features
from fx_assets.sources.sample import SampleSource

QUOTE_FEATURES = [s.name for s in specs("microstructure") if {"bid_close", "ask_close"} & set(s.requires)]
VOLUME_FEATURES = [s.name for s in specs("microstructure") if "volume" in s.requires]


def bars(symbol: str) -> pd.DataFrame:
    span = pd.Timestamp("2021-01-03T22:00Z"), pd.Timestamp("2021-01-15T22:00Z")
    found = SampleSource("sample", {}).candles(symbol, "H1", *span)  # pyright: ignore[reportArgumentType]
    return found.assign(instrument=symbol, bid_close=found["close"] - 1e-4, ask_close=found["close"] + 1e-4)


def test_a_bar_without_quotes_has_no_spread_and_the_others_keep_theirs():
    whole = bars("GBP_USD")
    found = filled_features(whole.assign(bid_close=whole["bid_close"].where(whole.index != 200)), ["microstructure"])
    assert found[QUOTE_FEATURES].iloc[200].isna().all()
    expected = filled_features(whole, ["microstructure"])
    others = found.index != 200
    pd.testing.assert_series_equal(found.loc[others, "spread_bps"], expected.loc[others, "spread_bps"])
    assert expected["spread_bps"].notna().all()


def test_an_instrument_without_quotes_has_no_spread_whoever_is_computed_with_it():
    quoted, unquoted = bars("GBP_USD"), bars("USD_JPY").assign(bid_close=np.nan, ask_close=np.nan)
    both = filled_features(pd.concat([quoted, unquoted], ignore_index=True), ["microstructure"])
    alone = filled_features(unquoted, ["microstructure"])
    part = both[both["instrument"] == "USD_JPY"].reset_index(drop=True)
    assert part[QUOTE_FEATURES].isna().all(axis=None)
    pd.testing.assert_frame_equal(part.drop(columns=QUOTE_FEATURES), alone, check_exact=True)
    assert {"spread_bps", "spread_rank_120"} <= set(QUOTE_FEATURES)
    assert both.loc[both["instrument"] == "GBP_USD", "spread_bps"].notna().all()


def test_an_instrument_without_volume_has_no_volume_features_instead_of_those_of_no_trades():
    silent = bars("USD_JPY").assign(volume=np.nan)
    both = filled_features(pd.concat([bars("GBP_USD"), silent], ignore_index=True), ["microstructure"])
    assert both.loc[both["instrument"] == "USD_JPY", VOLUME_FEATURES].isna().all(axis=None)
    assert both.loc[both["instrument"] == "GBP_USD", "volume_velocity"].iloc[30:].notna().all()
    assert not set(VOLUME_FEATURES) & set(filled_features(silent, ["microstructure"]).columns)
