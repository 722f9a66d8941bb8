"""The rates group: the differential as it was known at the bar's close."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.features.blocks import Block, time_us
from fx_assets.features.rates import compute
from fx_assets.features.reference import Reference

HOUR_US = 3_600_000_000


def block(times: pd.DatetimeIndex) -> Block:
    one = np.ones(len(times))
    return Block(time_us(times), one, one, one, one, None, None, None)


@pytest.fixture(scope="module")
def reference() -> Reference:
    rows = [
        ("2021-01-01", "USD", 0.25),
        ("2021-01-10", "GBP", 0.10),
        ("2021-02-20 12:00", "GBP", 0.50),
        ("2021-03-05", "USD", 1.25),
    ]
    frame = pd.DataFrame(rows, columns=pd.Index(["available_at", "currency", "rate"]))
    return Reference(rates=frame.assign(available_at=pd.to_datetime(frame["available_at"], format="mixed", utc=True)))


def at(reference: Reference, *closes: str, instrument: str = "GBP_USD") -> tuple[list[float], list[float]]:
    opens = pd.DatetimeIndex([pd.Timestamp(close, tz="UTC") - pd.Timedelta(hours=1) for close in closes])
    found = compute(block(opens), instrument, reference, HOUR_US)
    return tuple(found[name].round(12).tolist() for name in ("rate_differential", "rate_differential_change"))


def test_the_differential_and_its_change(reference):
    level, change = at(
        *(reference, "2021-01-05", "2021-01-10", "2021-02-08", "2021-02-20 11:00", "2021-02-20 12:00"),
        *("2021-03-04 23:00", "2021-03-05", "2021-03-22 12:00", "2021-05-01"),
    )
    assert level == [0.0, -0.15, -0.15, -0.15, 0.25, 0.25, -0.75, -0.75, -0.75]
    # Unknown until both were known 30 days before, on 9 February.
    assert change == [0.0, 0.0, 0.0, 0.0, 0.4, 0.4, -0.6, -1.0, 0.0]


def test_the_other_way_round_it_is_the_opposite(reference):
    level, change = at(reference, "2021-03-22 12:00", instrument="USD_GBP")
    assert (level, change) == ([0.75], [1.0])


def test_a_rate_that_comes_later_changes_nothing_before(reference):
    opens = pd.date_range("2020-12-20", "2021-05-01", freq="7h", tz="UTC")
    whole = compute(block(opens), "GBP_USD", reference, HOUR_US)
    for cut in ("2021-01-09", "2021-02-20 11:59", "2021-02-20 12:00", "2021-03-06"):
        now = pd.Timestamp(cut, tz="UTC")
        known = Reference(rates=reference.rates[reference.rates["available_at"] <= now])
        before = np.flatnonzero(opens + pd.Timedelta(hours=1) <= now)
        for name, column in compute(block(opens), "GBP_USD", known, HOUR_US).items():
            np.testing.assert_array_equal(column[before], whole[name][before])
    for row in (0, 100, len(opens) - 1):
        for name, column in compute(block(opens[row : row + 1]), "GBP_USD", reference, HOUR_US).items():
            assert column[0] == whole[name][row]


def test_what_has_no_rate_is_neutral(reference):
    for instrument in ("XAU_USD", "SPX500", "EUR_CHF"):
        assert at(reference, "2021-04-01", instrument=instrument) == ([0.0], [0.0])


def test_without_a_bar_length_the_open_decides(reference):
    opens = pd.DatetimeIndex(["2021-02-20 11:00"], tz="UTC")
    late, right = (compute(block(opens), "GBP_USD", reference, us)["rate_differential"] for us in (0, HOUR_US))
    assert (late.round(12).tolist(), right.round(12).tolist()) == ([-0.15], [0.25])


def test_no_rates_are_refused():
    with pytest.raises(DataError, match="need policy rates"):
        compute(block(pd.DatetimeIndex(["2021-02-20"], tz="UTC")), "GBP_USD", Reference())
