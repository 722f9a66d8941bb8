"""Costs by instrument and hour against medians taken by hand."""

import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation import costs


def quotes(instrument: str, spreads: list[float], start: str, mid: float = 1.0) -> pd.DataFrame:
    """Hourly candles whose close was quoted with these spreads (in price units)."""
    time = pd.date_range(start, periods=len(spreads), freq="h", tz="UTC").as_unit("us")
    half = np.array(spreads) / 2
    return pd.DataFrame(
        {
            "instrument": instrument,
            "time": time,
            "available_at": time + pd.Timedelta(hours=1),
            "bid_close": mid - half,
            "ask_close": mid + half,
        }
    )


def decided(instrument: str, *times: str) -> pd.DataFrame:
    return pd.DataFrame({"instrument": instrument, "decision_time": pd.to_datetime(list(times), utc=True)})


def test_the_median_of_each_hour_of_the_new_york_day():
    # 30 winter days: 1 pip, but 5 pips in the hour that begins with the close at 22:00 UTC, 17:00 New York.
    hourly = [5e-4 if (h + 1) % 24 == 22 else 1e-4 for h in range(24 * 30)]
    hourly[21] = 0.5  # one mad quote does not move a median
    table = costs.table(quotes("EUR_USD", hourly, "2021-01-04", mid=2.0))
    assert list(table.columns) == list(costs.COLUMNS)
    assert table["hour"].tolist() == list(range(24))
    assert set(table["source"]) == {"recorded"}
    assert set(table["rows"]) == {30}
    assert table["half_spread"].tolist() == pytest.approx([5e-4 / 4 if h == 17 else 1e-4 / 4 for h in range(24)])
    # In summer the rollover is at 21:00 UTC.
    rows = decided("EUR_USD", "2021-01-05T22:00Z", "2021-07-05T21:00Z", "2021-07-05T22:00Z")
    assert costs.for_rows(table, rows) == pytest.approx([5e-4 / 4, 5e-4 / 4, 1e-4 / 4])


def test_impossible_quotes_are_left_out():
    crossed = quotes("EUR_USD", [1e-4] * 48, "2021-01-04")
    crossed.loc[:9, "ask_close"] = crossed.loc[:9, "bid_close"] - 1e-4
    crossed.loc[10:12, "bid_close"] = np.nan
    table = costs.table(crossed)
    assert table["rows"].sum() == 48 - 13
    assert table["half_spread"].tolist() == pytest.approx([0.5e-4] * 24)


def test_an_hour_with_few_quotes_takes_the_median_of_all():
    spreads = [1e-4] * 24 * 25 + [9e-4] * 12
    table = costs.table(quotes("EUR_USD", spreads, "2021-01-04T05:00"))
    scarce = costs.table(quotes("EUR_USD", [1e-4] * 12 + [3e-4] * 9, "2021-01-04T05:00"))
    assert table["half_spread"].tolist() == pytest.approx([0.5e-4] * 24)
    assert scarce["half_spread"].tolist() == pytest.approx([0.5e-4] * 24)
    assert scarce["rows"].max() == 1


def test_without_bid_and_ask_the_typical_spread_stands_in_and_says_so():
    mid_only = quotes("GBP_USD", [1e-4] * 48, "2021-01-04").drop(columns=["bid_close", "ask_close"])
    assert not len(costs.table(mid_only))
    unknown = quotes("GBP_USD", [1e-4] * 48, "2021-01-04").assign(bid_close=np.nan)
    assert not len(costs.table(unknown))
    recorded = costs.table(quotes("EUR_USD", [2e-4] * 48, "2021-01-04"))
    table = costs.with_typical(recorded, {"EUR_USD": 9.0, "GBP_USD": 7e-5})
    assert costs.cost_source(table, ["EUR_USD"]) == "recorded"
    assert costs.cost_source(table, ["GBP_USD"]) == "typical"
    assert costs.cost_source(table, ["GBP_USD", "EUR_USD"]) == "recorded: EUR_USD; typical: GBP_USD"
    assert costs.for_rows(table, decided("GBP_USD", "2021-01-05T22:00Z")) == pytest.approx([7e-5])
    both = pd.concat([decided("EUR_USD", "2021-01-05T22:00Z"), decided("GBP_USD", "2021-01-05T22:00Z")])
    assert costs.for_rows(recorded, both, {"GBP_USD": 7e-5}) == pytest.approx([1e-4, 7e-5])
    with pytest.raises(ValueError, match="no half spread for GBP_USD"):
        costs.for_rows(recorded, both)


def test_a_table_comes_back_from_json_to_the_last_bit():
    recorded = costs.table(quotes("EUR_USD", [1.1e-4, 1.3e-4] * 24, "2021-01-04", mid=1.234567))
    table = costs.with_typical(recorded, {"USD_JPY": 1 / 3})
    again = costs.from_json(msgspec.json.decode(msgspec.json.encode(costs.to_json(table))))
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    pd.testing.assert_frame_equal(costs.from_json([]), costs.table(pd.DataFrame()))
