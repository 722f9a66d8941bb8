"""What the check `no_lookahead` finds in the rows of one session, and what it costs."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import compute_features, max_window
from fx_assets.features.blocks import moment_us, time_us
from fx_assets.sessions import session_bounds, session_keys
from fx_assets.silver.lookahead_check import Lookahead, lookahead_problems, recent_rows
from fx_assets.tables import by_session
from tests.fx_assets.features import leaks
from tests.fx_assets.features.conftest import made_bars, quoted, sample_bars

WINDOW = 20
DAYS = ["2021-03-01", "2021-03-02", "2021-03-03", "2021-03-04"]
MINUTES = {"AUD_USD": 1440, "EUR_USD": 60}


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    return quoted(sample_bars(("GBP_USD", "USD_JPY"), 900))


def session(rows: pd.DataFrame, key: str) -> pd.DataFrame:
    return rows[session_keys(rows["time"]) == key]


def mean(bars: pd.DataFrame) -> pd.DataFrame:
    """A window that only looks back."""
    bars = bars.sort_values(["instrument", "time"])
    values = bars.groupby("instrument")["close"].transform(lambda close: close.rolling(5).median())
    return bars[["instrument", "time"]].assign(mean=values, available_at=bars["time"]).reset_index(drop=True)


def problems(function, candles, key="2020-10-21") -> list[str]:
    return lookahead_problems(function, candles, session(function(candles), key), WINDOW, seed=key)


def test_what_only_looks_back_has_no_problem(candles):
    assert problems(mean, candles) == []
    made = session(compute_features(candles), "2020-11-05")
    assert lookahead_problems(compute_features, candles, made, max_window(), seed="2020-11-05") == []


def test_a_problem_names_column_instrument_time_and_both_values(candles):
    (told,) = problems(leaks.shifted_label, candles)
    assert told.startswith("shifted_label of GBP_USD at 2020-10-2")
    assert "without what became known after 2020-10-2" in told
    assert told.endswith("it is nan")
    bars = candles[candles["instrument"] == "GBP_USD"].set_index("time")["close"]
    at = pd.Timestamp(told.split(" at ")[1].split(" is ")[0])
    expected = np.log(bars).diff().shift(-1)[at]
    assert f" is {float(expected)!r};" in told


@pytest.mark.parametrize("leak", [leak for leak in leaks.LOOK_AHEAD if leak is not leaks.filled_backwards])
def test_every_kind_of_leak_is_found_in_any_session(candles, leak):
    keys = sorted(session_keys(candles["time"]).unique())[3:-1]
    missed = [key for key in keys if not problems(leak, candles, key)]
    assert missed == []


def test_a_leak_of_one_instrument_is_found_beside_sound_ones(candles):
    def half(bars: pd.DataFrame) -> pd.DataFrame:
        found = leaks.shifted_label(bars)
        return found.assign(shifted_label=found["shifted_label"].where(found["instrument"] == "USD_JPY", 0.0))

    assert "shifted_label of USD_JPY" in problems(half, candles)[0]


def test_rows_and_columns_that_come_and_go_are_problems(candles):
    last = candles["time"].max()

    def fewer_rows(bars: pd.DataFrame) -> pd.DataFrame:
        return mean(bars) if bars["time"].max() == last else mean(bars).iloc[:-1]

    def other_rows(bars: pd.DataFrame) -> pd.DataFrame:
        found = mean(bars)
        return found if bars["time"].max() == last else found.assign(time=found["time"] - pd.Timedelta("1min"))

    def fewer_columns(bars: pd.DataFrame) -> pd.DataFrame:
        return mean(bars) if bars["time"].max() == last else mean(bars).drop(columns="mean")

    assert "rows up to there, not " in problems(fewer_rows, candles)[0]
    assert "there are other rows" in problems(other_rows, candles)[0]
    assert problems(fewer_columns, candles)[0].endswith("it is nan")


def test_many_leaking_columns_are_told_shortly(candles):
    def wide(bars: pd.DataFrame) -> pd.DataFrame:
        found = leaks.shifted_label(bars)
        return found.assign(**{f"leak_{n}": found["shifted_label"] for n in range(7)})

    told = problems(wide, candles)
    assert len(told) == 6
    assert told[-1] == "and 3 more columns: leak_4, leak_5, leak_6"


def daily(symbol: str, seed: int) -> pd.DataFrame:
    """A bar for each of four sessions."""
    opens = pd.DatetimeIndex([session_bounds(key)[0] for key in DAYS]).as_unit("us")
    closes = np.random.default_rng(seed).normal(size=len(DAYS))
    return pd.DataFrame({"instrument": symbol, "time": opens, "close": closes})


def hourly(symbol: str) -> pd.DataFrame:
    times = pd.date_range(session_bounds(DAYS[0])[0], periods=24 * len(DAYS), freq="1h", unit="us")
    return pd.DataFrame(
        {"instrument": symbol, "time": times, "close": np.random.default_rng(5).normal(size=len(times))}
    )


def next_close(keys: list[str], bars: pd.DataFrame) -> pd.DataFrame:
    ordered = bars.sort_values(["instrument", "time"], ignore_index=True)
    return ordered[["instrument", "time"]].assign(leak=ordered.groupby("instrument")["close"].shift(-1).fillna(0.0))


def test_one_bar_a_session_is_compared_without_the_later_sessions():
    bars = daily("AUD_USD", 1)
    look = Lookahead(WINDOW, minutes=MINUTES)
    found = look.look(DAYS, bars, next_close(DAYS, bars), next_close)
    assert "leak of AUD_USD" in found[DAYS[0]][0]
    sound = Lookahead(WINDOW, minutes=MINUTES)

    def same(keys: list[str], rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(value=rows["close"])

    assert sound.look(DAYS, bars, same(DAYS, bars), same) == {}
    assert sound.checked == DAYS[:1]


def test_a_session_after_which_nothing_comes_is_not_said_to_be_looked_at():
    bars = daily("AUD_USD", 1).iloc[:1]
    look = Lookahead(WINDOW, minutes=MINUTES)
    assert look.look(DAYS, bars, next_close(DAYS, bars), next_close) == {}
    assert look.checked == []
    assert lookahead_problems(mean, bars.iloc[:0], bars.iloc[:0], WINDOW) == []


def test_the_close_of_a_longer_bar_that_still_runs_is_a_leak():
    bars = pd.concat([daily("AUD_USD", 1), hourly("EUR_USD")], ignore_index=True)

    def joined(bars: pd.DataFrame, known: str = "0h") -> pd.DataFrame:
        days, hours = (bars[bars["instrument"] == symbol] for symbol in ("AUD_USD", "EUR_USD"))
        days = days.sort_values("time").assign(
            time=(days["time"] + pd.Timedelta(known)).dt.as_unit("us"), day=days["close"]
        )
        rows = pd.merge_asof(hours.sort_values("time"), days[["time", "day"]], on="time")
        return rows[["instrument", "time", "day"]]

    for key in DAYS:
        made = session(joined(bars), key)
        (told,) = lookahead_problems(joined, bars, made, WINDOW, key, MINUTES)
        assert told.startswith("day of EUR_USD")

        def at_its_end(bars: pd.DataFrame) -> pd.DataFrame:
            return joined(bars, "24h")

        assert lookahead_problems(at_its_end, bars, session(at_its_end(bars), key), WINDOW, key, MINUTES) == []


def test_rows_said_to_be_known_before_their_bar_closes_are_told():
    """Nothing in the values shows it: whoever joins by available_at is given the close when the bar opens."""
    bars = pd.concat([daily("AUD_USD", 1), hourly("EUR_USD")], ignore_index=True)

    def stamped(keys: list[str], rows: pd.DataFrame, early: str = "0min") -> pd.DataFrame:
        lengths = pd.to_timedelta(rows["instrument"].map(MINUTES), unit="min")
        known = (rows["time"] + lengths - pd.Timedelta(early)).dt.as_unit("us")
        return rows[["instrument", "time"]].assign(value=rows["close"], available_at=known)

    look = Lookahead(WINDOW, minutes=MINUTES)
    assert look.look(DAYS, bars, stamped(DAYS, bars), stamped) == {}
    (told,) = look.look(DAYS, bars, stamped(DAYS, bars, "1min"), stamped)[DAYS[0]]
    assert told.startswith("available_at of AUD_USD at 2021-03-01 22:00:00+00:00 is 2021-03-02 21:59:00+00:00; its bar")
    assert told.endswith("closes at 2021-03-02 22:00:00+00:00 (25 such rows)")
    # Even in a session after which nothing comes, so that no value can be compared.
    last = session(bars, DAYS[-1])
    assert list(look.look(DAYS, last, stamped(DAYS, last, "1h"), stamped)) == [DAYS[-1]]


def test_longer_bars_beside_shorter_ones_are_compared_too():
    bars = pd.concat([daily("AUD_USD", 1), hourly("EUR_USD")], ignore_index=True)

    def leaks_of_days(keys: list[str], rows: pd.DataFrame) -> pd.DataFrame:
        found = next_close(keys, rows)
        return found.assign(leak=found["leak"].where(found["instrument"] == "AUD_USD", 0.0))

    look = Lookahead(WINDOW, minutes=MINUTES)
    assert "leak of AUD_USD" in look.look(DAYS, bars, leaks_of_days(DAYS, bars), leaks_of_days)[DAYS[0]][0]


def test_candles_of_each_length_are_taken_as_far_back_as_they_need():
    bars = pd.concat([daily("AUD_USD", 1), hourly("EUR_USD")], ignore_index=True)
    found = recent_rows(bars, moment_us(session_bounds(DAYS[3])[0]), 3, MINUTES)
    assert found["instrument"].value_counts().to_dict() == {"EUR_USD": 27, "AUD_USD": 4}


def test_one_session_of_a_chunk_is_looked_at_as_its_table_makes_it(candles):
    calendar = sorted(session_keys(candles["time"]).unique())
    keys = ["2020-10-17", *calendar[25:30]]  # a session without bars comes first

    def make(wanted: list[str], bars: pd.DataFrame, function=mean) -> pd.DataFrame:
        return by_session(wanted, bars, function, 30, {"mean": 5, "shifted_label": 1}, sorted([*calendar, keys[0]]))

    look = Lookahead(WINDOW)
    assert look.look(keys, candles, make(keys, candles), make) == {}
    assert (look.checked, look.problems) == ([calendar[25]], {})

    def leaky(wanted: list[str], bars: pd.DataFrame) -> pd.DataFrame:
        return make(wanted, bars, leaks.shifted_label)

    found = look.look(calendar[26:28], candles, leaky(calendar[26:28], candles), leaky)
    assert list(found) == [calendar[26]]
    assert look.problems == found
    assert look.checked == calendar[25:27]


def test_only_the_window_and_the_session_are_computed_again():
    """However long the chunk: a year of minutes costs what a day of them does."""
    bars = made_bars(np.exp(np.cumsum(np.random.default_rng(1).normal(0, 1e-4, 30_000))), freq="1min")
    sizes = []

    def counting(cut: pd.DataFrame) -> pd.DataFrame:
        sizes.append(len(cut))
        return mean(cut)

    made = session(mean(bars), "2021-01-12")
    assert lookahead_problems(counting, bars, made, WINDOW, seed="2021-01-12") == []
    assert len(sizes) == 3
    assert max(sizes) < len(made) + WINDOW
    assert min(time_us(made["time"])) > 0
