"""Features of bid and ask where only some bars, or only some instruments, have them."""

import numpy as np
import pandas as pd

from fx_assets.silver.assets import QUOTE_FEATURES, quoted_features
from fx_assets.sources.sample import SampleSource


def bars(symbol: str) -> pd.DataFrame:
    span = pd.Timestamp("2021-01-03T22:00Z"), pd.Timestamp("2021-01-15T22:00Z")
    found = SampleSource("sample", {}).candles(symbol, "H1", *span)  # pyright: ignore[reportArgumentType]
    return found.assign(instrument=symbol, bid_close=found["close"] - 1e-4, ask_close=found["close"] + 1e-4)


def test_a_bar_without_quotes_has_no_spread_and_the_others_keep_theirs():
    whole = bars("GBP_USD")
    found = quoted_features(whole.assign(bid_close=whole["bid_close"].where(whole.index != 200)), ["microstructure"])
    assert QUOTE_FEATURES == ["spread_bps", "spread_rank_120"]
    assert found[QUOTE_FEATURES].iloc[200].isna().all()
    expected = quoted_features(whole, ["microstructure"])
    others = found.index != 200
    pd.testing.assert_series_equal(found.loc[others, "spread_bps"], expected.loc[others, "spread_bps"])
    assert expected["spread_bps"].notna().all()


def test_an_instrument_without_quotes_has_no_spread_whoever_is_computed_with_it():
    quoted, unquoted = bars("GBP_USD"), bars("USD_JPY").assign(bid_close=np.nan, ask_close=np.nan)
    both = quoted_features(pd.concat([quoted, unquoted], ignore_index=True), ["microstructure"])
    alone = quoted_features(unquoted, ["microstructure"])
    part = both[both["instrument"] == "USD_JPY"].reset_index(drop=True)
    assert part[QUOTE_FEATURES].isna().all(axis=None)
    pd.testing.assert_frame_equal(part.drop(columns=QUOTE_FEATURES), alone, check_exact=True)
    assert both.loc[both["instrument"] == "GBP_USD", "spread_bps"].notna().all()
