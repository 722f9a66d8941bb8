"""The FX calendar against hours that were really traded: twelve years of OANDA, and nine months it has not seen.

docs/calendar.md quotes these figures; test_the_document_states_these_figures holds them to it.
"""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.market_hours import FxHours, fx
from fx_assets.market_hours.closures import Closure, closures
from fx_assets.sources.sample import FOLDER as SAMPLE
from tests.fx_assets.market_hours.traded import HOUR, compared, traded

DOCUMENT = Path(__file__).parents[3] / "docs" / "calendar.md"


def expected(real: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return FxHours().expected_bars(real[0].to_pydatetime(), real[-1].to_pydatetime() + HOUR, 60)


def by_rule(first: int, last: int) -> list[Closure]:
    """The closures as they are for years without a record."""
    return [closure for year in range(first, last + 1) for closure in closures(year, recorded=False)]


@pytest.fixture(scope="module")
def market() -> pd.DatetimeIndex:
    """Hours in which one of the two pairs was traded: a bar missing from one alone is that pair's."""
    return traded("EUR_USD").union(traded("NZD_USD"))


def test_twelve_years_with_the_recorded_closures(market):
    missed, invented = compared(market, expected(market))
    assert (missed, invented) == ({2008: 1, 2009: 1}, {})


def test_twelve_years_by_the_rule_alone(market, monkeypatch):
    monkeypatch.setattr(fx, "_closures", by_rule)
    missed, invented = compared(market, expected(market))
    assert missed == {2007: 20, 2008: 22, 2009: 22, 2010: 6, 2011: 26, 2012: 26, 2016: 1, 2017: 1, 2018: 6}
    assert invented == {2012: 15, 2013: 7, 2016: 3, 2018: 2}


def test_a_year_that_nothing_was_fitted_to():
    real = traded("USD_SGD")
    assert compared(real, expected(real)) == ({}, {})


@pytest.mark.parametrize("pair", ["GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"])
def test_another_broker(pair):
    """The sample's: traded beyond the calendar are the last afternoons of two years, until 16:00 and until 17:00."""
    real = pd.DatetimeIndex(pd.read_parquet(SAMPLE / f"{pair}_H1.parquet")["time"]).as_unit("us")
    missed, invented = compared(real, expected(real))
    assert missed == {2020: 2, 2021: 3}
    # Its Fridays end at 16:00 in the weeks in which only one of Europe and America has summer time.
    assert invented == {2020: 1, 2021: 5}


def test_the_document_states_these_figures(market, monkeypatch):
    text = DOCUMENT.read_text()
    with_record = compared(market, expected(market))
    monkeypatch.setattr(fx, "_closures", by_rule)
    alone = compared(market, expected(market))
    for year in range(2007, 2019):
        figures = [figure.get(year, 0) for figure in (*with_record, *alone)]
        hours = int((market.year == year).sum())
        assert f"| {year} | {hours} | " + " | ".join(map(str, figures)) + " |" in text


def test_ten_years_of_hourly_bars():
    bars = FxHours().expected_bars(datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), 60)
    assert 62_000 < len(bars) < 62_700
