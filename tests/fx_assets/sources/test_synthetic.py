"""The made-up market: the same whatever is asked for, consistent across pairs and granularities, and like a market."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import GRANULARITY_MINUTES
from fx_assets.market_hours import market_hours
from fx_assets.sources import SourceRefused, make_source
from fx_assets.sources.options import Synthetic

START, END = datetime(2018, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
SOURCE = make_source("synthetic", Synthetic(seed=3))
NEW_YORK = "America/New_York"
MIDDLE = ["open", "high", "low", "close"]


@pytest.fixture(scope="module")
def hours() -> pd.DataFrame:
    return SOURCE.candles("EUR_USD", "H1", START, END)


@pytest.fixture(scope="module")
def wholes() -> dict[str, pd.DataFrame]:
    """Half a year of each granularity, two changes of daylight saving within."""
    span = datetime(2019, 9, 15, tzinfo=UTC), datetime(2020, 3, 20, tzinfo=UTC)
    return {g: SOURCE.candles("GBP_JPY", g, *span) for g in GRANULARITY_MINUTES}


@given(data=st.data())
def test_any_range_is_a_part_of_any_range_around_it(wholes, data):
    granularity = data.draw(st.sampled_from(list(wholes)))
    start = datetime(2019, 9, 15, tzinfo=UTC) + timedelta(minutes=data.draw(st.integers(0, 180 * 1440)))
    end = start + timedelta(minutes=data.draw(st.integers(0, 6 * 1440)))
    whole = wholes[granularity]
    inside = whole[(whole["time"] >= start) & (whole["time"] < end)].reset_index(drop=True)
    part = SOURCE.candles("GBP_JPY", granularity, start, end)
    pd.testing.assert_frame_equal(part, inside, check_exact=True)


def test_another_process_makes_the_same_bars(hours):
    code = (
        "from datetime import UTC, datetime\n"
        "from fx_assets.schemas import content_hash\n"
        "from fx_assets.sources import make_source\n"
        "from fx_assets.sources.options import Synthetic\n"
        "f = make_source('synthetic', Synthetic(seed=3)).candles("
        "'EUR_USD', 'H1', datetime(2018, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC))\n"
        "print(content_hash(f))"
    )
    from fx_assets.schemas import content_hash

    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert out.stdout.strip() == content_hash(hours)


def test_another_seed_is_another_market(hours):
    other = make_source("synthetic", Synthetic(seed=4)).candles("EUR_USD", "H1", START, END)
    moves = [np.diff(np.log(f.set_index("time")["close"])) for f in (hours, other)]
    shortest = min(map(len, moves))
    assert abs(np.corrcoef(moves[0][:shortest], moves[1][:shortest])[0, 1]) < 0.05


def test_crosses_agree():
    legs = [SOURCE.candles(pair, "H1", START, END).set_index("time") for pair in ("EUR_USD", "USD_JPY", "EUR_JPY")]
    one, two, cross = legs
    for price in ("open", "close"):
        # Each price is rounded to its points: 1e-5 of about 1.1, and 1e-3 of about 110.
        assert (one[price] * two[price] / cross[price] - 1).abs().max() < 3e-5


def test_opens_and_closes_agree_across_granularities(wholes):
    fine = wholes["M1"].set_index("time")
    for granularity, minutes in GRANULARITY_MINUTES.items():
        bars = wholes[granularity].set_index("time")
        # Where the bar's first and last minute have ticks.
        first = fine["open"].reindex(bars.index)
        last = fine["close"].reindex(bars.index + pd.Timedelta(minutes=minutes - 1)).set_axis(bars.index)
        assert (first.dropna() == bars["open"][first.notna()]).mean() > 0.99, granularity
        assert (last.dropna() == bars["close"][last.notna()]).mean() > 0.99, granularity
        assert first.notna().mean() > 0.9


@pytest.mark.parametrize("granularity", GRANULARITY_MINUTES)
def test_every_bar_is_possible(wholes, granularity):
    bars = wholes[granularity]
    for side in ("", "bid_", "ask_"):
        o, h, low, c = (bars[side + name] for name in MIDDLE)
        assert (h >= np.maximum(o, c)).all()
        assert (low <= np.minimum(o, c)).all()
        assert (low > 0).all()
    for name in MIDDLE:
        assert (bars[f"ask_{name}"] > bars[f"bid_{name}"]).all()
        middle = (bars[f"ask_{name}"] + bars[f"bid_{name}"]) / 2
        assert np.allclose(middle, bars[name], rtol=1e-12, atol=0)
    assert (bars["volume"] >= 1).all()


@pytest.mark.parametrize("granularity", ["M1", "M15", "H1", "H4", "D"])
def test_it_trades_in_market_hours_and_nearly_always_then(wholes, granularity):
    span = datetime(2019, 9, 16, tzinfo=UTC), datetime(2020, 3, 16, tzinfo=UTC)
    expected = pd.DatetimeIndex(market_hours("fx").expected_bars(*span, GRANULARITY_MINUTES[granularity]))
    times = wholes[granularity]["time"]
    opens = pd.DatetimeIndex(times[(times >= span[0]) & (times < span[1])])
    assert len(opens.difference(expected)) == 0
    assert 0.98 < len(opens) / len(expected) <= 1


def test_volatility_clusters_and_direction_does_not(hours):
    moves = np.log(hours["close"]).diff().dropna()
    assert 0.05 < moves.std() * np.sqrt(252 * 24) < 0.15
    assert moves.kurt() > 3
    assert abs(moves.autocorr(1)) < 0.05
    # Against the hour's own mean, so that it is not the time of day that repeats itself.
    local = hours["time"].dt.tz_convert(NEW_YORK).dt.hour.loc[moves.index]
    size = moves.abs()
    relative = size / size.groupby(local).transform("mean")
    assert relative.autocorr(1) > 0.1
    assert relative.autocorr(5) > 0.05


def test_the_day_has_its_hours(hours):
    local = hours["time"].dt.tz_convert(NEW_YORK).dt.hour
    moves = np.log(hours["close"]).diff().abs().groupby(local).mean()
    assert moves.loc[9] > 3 * moves.loc[14]
    spread = (hours["ask_close"] - hours["bid_close"]).groupby(local).mean()
    assert spread.loc[17] > 3 * spread.loc[9]
    assert spread.loc[9] < 0.0002


def test_regimes_stay_and_differ():
    from fx_assets.synthetic.currencies import REGIMES, hourly
    from fx_assets.synthetic.weeks import week_of

    made = hourly(3, "EUR", week_of(START), week_of(END))
    regime = made.regime.ravel()
    assert set(regime) == set(range(len(REGIMES)))
    assert 0.95 < (regime[1:] == regime[:-1]).mean() < 0.999
    calm, wild = (made.deviation.ravel()[regime == r].mean() for r in (0, 2))
    assert wild > 2 * calm


def test_headlines_come_with_the_moves_they_tell_of():
    news = SOURCE.news(START, END)
    euro = news[news["headline"].str.startswith("Euro ") & (news["article_count"] > 1)]
    up = euro["headline"].str.contains("rallies|surges|gains|climbs")
    assert min(up.sum(), (~up).sum()) > 20
    minutes = SOURCE.candles("EUR_USD", "M1", START, END).set_index("time")
    moves = np.log(minutes["close"]) - np.log(minutes["open"])
    around = moves.reindex(euro["published"].dt.floor("5min"))
    assert np.nanmean(around[up.to_numpy()]) > 5 * moves.std()
    assert np.nanmean(around[~up.to_numpy()]) < -5 * moves.std()
    assert ((news["first_seen"] - news["published"]) > pd.Timedelta(seconds=19)).all()
    week = SOURCE.news(datetime(2019, 5, 8, tzinfo=UTC), datetime(2019, 5, 9, 7, tzinfo=UTC))
    day = news[(news["first_seen"] >= "2019-05-08") & (news["first_seen"] < pd.Timestamp("2019-05-09T07", tz=UTC))]
    pd.testing.assert_frame_equal(week, day.reset_index(drop=True), check_exact=True)


def test_the_future_has_not_happened(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2019-05-08T10:30:00Z")
    bars = SOURCE.candles("EUR_USD", "H1", START, END)
    assert bars["time"].iloc[-1] == pd.Timestamp("2019-05-08T09:00Z")
    assert SOURCE.news(START, END)["first_seen"].max() < pd.Timestamp("2019-05-08T10:30Z")


@pytest.mark.parametrize(
    ("instrument", "near"), [("USD_JPY", 118), ("XAU_USD", 1800), ("SPX500", None), ("ABC_XYZ", None)]
)
def test_any_instrument_has_a_market(instrument, near):
    bars = SOURCE.candles(instrument, "H1", datetime(2019, 5, 6, tzinfo=UTC), datetime(2019, 5, 11, tzinfo=UTC))
    assert len(bars) > 100
    assert near is None or near / 2 < bars["close"].mean() < near * 2


def test_a_currency_against_itself_is_refused():
    with pytest.raises(SourceRefused, match="EUR_EUR"):
        SOURCE.candles("EUR_EUR", "H1", START, END)
