"""The economic group: nearness of releases, and surprises that are known only once they are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.errors import DataError
from fx_assets.features.blocks import Block, time_us
from fx_assets.features.economic import SPECS, compute
from fx_assets.features.reference import Reference
from tests.counts import count

HOUR_US = 3_600_000_000
NAMES = [spec.name for spec in SPECS]


def block(times: pd.DatetimeIndex) -> Block:
    one = np.ones(len(times))
    return Block(time_us(times), one, one, one, one, None, None, None)


def at(reference: Reference, *closes: str, instrument: str = "EUR_USD") -> pd.DataFrame:
    """The features of hourly bars that close at these moments (UTC, rising)."""
    opens = pd.DatetimeIndex([pd.Timestamp(close, tz="UTC") - pd.Timedelta(hours=1) for close in closes])
    return pd.DataFrame(compute(block(opens), instrument, reference, HOUR_US))


def calendar(*rows: tuple) -> Reference:
    """Releases: time, currency, event, impact, and perhaps actual, forecast, available_at."""
    names = ("time", "currency", "event", "impact", "actual", "forecast", "available_at")
    frame = pd.DataFrame([dict(zip(names, row, strict=False)) for row in rows])
    for name in ("time", "available_at"):
        if name in frame:
            frame[name] = pd.to_datetime(frame[name], utc=True)
    return Reference(economic=frame)


def test_the_next_and_the_last_release():
    reference = calendar(
        ("2021-03-03 10:00", "EUR", "CPI", 2),
        ("2021-03-05 13:30", "USD", "Payrolls", 3),
        ("2021-03-05 13:30", "USD", "Earnings", 1),
        ("2021-03-05 14:00", "GBP", "Speech", 3),
    )
    frame = at(
        *(reference, "2021-02-20 00:00", "2021-03-03 09:00", "2021-03-03 10:00", "2021-03-05 13:00"),
        *("2021-03-05 13:30", "2021-03-20 00:00"),
    )
    assert frame["minutes_to_release"].tolist() == [10080, 60, 51.5 * 60, 30, 10080, 10080]
    assert frame["minutes_since_release"].tolist() == [10080, 10080, 0, 51 * 60, 0, 10080]
    assert frame["next_release_impact"].tolist() == [0, 2, 3, 3, 0, 0]
    assert frame["last_release_impact"].tolist() == [0, 0, 2, 2, 3, 0]
    # From the close (excluded) to 24 hours later (included); the pound's do not count.
    assert frame["high_impact_24h"].tolist() == [0, 0, 0, 1, 0, 0]
    assert at(reference, "2021-03-04 13:30")["high_impact_24h"].tolist() == [1]


def monthly(currency: str, event: str, surprises: list[float], late: int = 0) -> list[tuple]:
    """An event on the first of each month of 2020 at 12:00, known `late` minutes later."""
    times = pd.date_range("2020-01-01 12:00", periods=len(surprises), freq="MS", tz="UTC")
    return [
        (time, currency, event, 2, 100.0 + surprise, 100.0, time + pd.Timedelta(minutes=late))
        for time, surprise in zip(times, surprises, strict=True)
    ]


def test_a_surprise_is_measured_by_the_earlier_ones_of_its_event():
    reference = calendar(*monthly("EUR", "CPI", [1.0, -1.0, 2.0, 3.0]), *monthly("EUR", "GDP", [9.0, 9.0, 9.0]))
    third, fourth = at(reference, "2020-03-01 13:00", "2020-04-01 12:00")["release_surprise"]
    assert third == 0.0  # two earlier ones are too few
    assert fourth == pytest.approx(3.0 / np.sqrt((1 + 1 + 4) / 3))
    dollar = calendar(*monthly("USD", "CPI", [1.0, -1.0, 2.0, 3.0]))
    assert at(dollar, "2020-04-01 12:00")["release_surprise"].tolist() == [-fourth]


def test_a_figure_counts_from_when_it_is_known():
    reference = calendar(*monthly("EUR", "CPI", [1.0, -1.0, 2.0, 3.0], late=90))
    known = at(reference, "2020-04-01 12:00", "2020-04-01 13:00", "2020-04-01 13:30", "2020-04-08 11:00")
    assert (known["release_surprise"] != 0).tolist() == [False, False, True, True]
    assert known["minutes_since_release"].tolist()[:3] == [0, 60, 90]
    # Seven days after the release it is over.
    assert at(reference, "2020-04-08 12:00")["release_surprise"].tolist() == [0.0]


def test_more_unemployment_is_a_bad_surprise():
    plain = calendar(*monthly("EUR", "Jobs", [1.0, -1.0, 2.0, 3.0]))
    worse = calendar(*monthly("EUR", "Unemployment Rate", [1.0, -1.0, 2.0, 3.0]))
    (good,), (bad,) = (at(r, "2020-04-01 12:00")["release_surprise"] for r in (plain, worse))
    assert good == -bad > 0


def test_figures_of_one_moment_are_averaged_by_impact():
    one, other = (monthly("EUR", name, [1.0, 1.0, 1.0, size]) for name, size in (("A", 2.0), ("B", -4.0)))
    heavy = [(*row[:3], 3, *row[4:]) for row in other]
    (value,) = at(calendar(*one, *heavy), "2020-04-01 12:00")["release_surprise"]
    assert value == pytest.approx((2 * 2.0 - 3 * 4.0) / 5)


def test_without_a_spread_of_surprises_or_with_a_giant_one():
    nothing = calendar(*monthly("EUR", "CPI", [0.0, 0.0, 0.0, 3.0]))
    assert at(nothing, "2020-04-01 12:00")["release_surprise"].tolist() == [0.0]
    giant = calendar(*monthly("EUR", "CPI", [1e-9, 1e-9, 1e-9, 1e9]))
    assert at(giant, "2020-04-01 12:00")["release_surprise"].tolist() == [10.0]


def made(seed: int) -> pd.DataFrame:
    """A calendar with figures that become known late, out of order, or never."""
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(1, 80))
    time = pd.Timestamp("2021-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 60 * 24 * 4, rows) * 15, unit="min")
    frame = pd.DataFrame(
        {
            "time": time,
            "available_at": time + pd.to_timedelta(rng.choice([0, 1, 300, 9000], rows), unit="min"),
            "currency": rng.choice(["EUR", "USD", "JPY"], rows),
            "event": rng.choice(["A", "B"], rows),
            "impact": rng.integers(1, 4, rows),
            "actual": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(0, 1, rows)),
            "forecast": np.where(rng.random(rows) < 0.2, np.nan, 0.1),
        }
    )
    return frame.drop_duplicates(["time", "currency", "event"])


@settings(max_examples=count("property_examples") // 2, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60 * 24))
def test_what_is_not_known_yet_changes_nothing(seed, cut):
    frame = made(seed)
    closes = pd.date_range("2021-01-01", periods=60 * 24, freq="1h", tz="UTC")
    whole = pd.DataFrame(compute(block(closes - pd.Timedelta(hours=1)), "EUR_USD", Reference(frame), HOUR_US))
    now = closes[min(cut, len(closes) - 1)]
    # The schedule is known, the figures that come later are not.
    unknown = frame.assign(actual=frame["actual"].where(frame["available_at"] <= now))
    seen = pd.DataFrame(compute(block(closes - pd.Timedelta(hours=1)), "EUR_USD", Reference(unknown), HOUR_US))
    pd.testing.assert_frame_equal(whole[closes <= now], seen[closes <= now], check_exact=True)
    # Each row alone is what it is among all.
    alone = compute(block(closes[cut : cut + 1] - pd.Timedelta(hours=1)), "EUR_USD", Reference(frame), HOUR_US)
    for name in NAMES:
        np.testing.assert_array_equal(alone[name], whole[name].to_numpy()[cut : cut + 1], err_msg=name)
    assert np.isfinite(whole.to_numpy()).all()


def test_a_row_is_worked_out_by_hand_too():
    frame = made(11)
    reference = Reference(frame)
    closes = pd.date_range("2021-01-05", periods=500, freq="1h", tz="UTC")
    found = pd.DataFrame(compute(block(closes - pd.Timedelta(hours=1)), "EUR_USD", reference, HOUR_US))
    mine = frame[frame["currency"].isin(["EUR", "USD"])]
    for row in range(0, 500, 23):
        later = mine.loc[mine["time"] > closes[row], "time"].min()
        before = mine.loc[mine["time"] <= closes[row], "time"].max()
        minutes = [(later - closes[row]) / pd.Timedelta(minutes=1), (closes[row] - before) / pd.Timedelta(minutes=1)]
        expected = [min(10080.0, 10080.0 if np.isnan(value) else value) for value in minutes]
        assert [found.at[row, name] for name in ("minutes_to_release", "minutes_since_release")] == expected
        ahead = mine["time"].between(closes[row], closes[row] + pd.Timedelta(days=1), inclusive="right")
        assert found.loc[row, "high_impact_24h"] == (ahead & (mine["impact"] == 3)).sum()


def test_without_a_bar_length_the_open_decides():
    reference = calendar(("2021-03-03 10:30", "EUR", "CPI", 2))
    opens = pd.DatetimeIndex(["2021-03-03 10:00"], tz="UTC")
    assert compute(block(opens), "EUR_USD", reference)["minutes_to_release"].tolist() == [30]
    assert compute(block(opens), "EUR_USD", reference, HOUR_US)["minutes_since_release"].tolist() == [30]


def test_no_pair_no_bars_and_no_calendar():
    reference = calendar(("2021-03-03 10:30", "EUR", "CPI", 3))
    assert at(reference, "2021-03-03 11:00", instrument="SPX500").iloc[0].tolist() == [10080, 10080, 0, 0, 0, 0]
    assert at(reference, "2021-03-03 11:00", instrument="SPX500_EUR")["minutes_since_release"].tolist() == [30]
    assert [len(c) for c in compute(block(pd.DatetimeIndex([], tz="UTC")), "EUR_USD", reference).values()] == [0] * 6
    with pytest.raises(DataError, match="need a release calendar"):
        at(Reference(), "2021-03-03 11:00")
