"""Computing over a range what each session alone would give: histories, chunks, conforming."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.errors import DataError
from fx_assets.features import FEATURES, compute_features, max_window
from fx_assets.gold.join import side_by_side
from fx_assets.gold.market import market_table
from fx_assets.inputs import SILVER_GROUPS
from fx_assets.schemas import UTC_TIME, Column, Schema, content_hash
from fx_assets.sessions import session_keys
from fx_assets.sources.sample import SampleSource
from fx_assets.tables import by_session
from fx_assets.tables.chunks import chunks
from fx_assets.tables.conform import arrange

# Weeks around Christmas, when sessions are missing and windows reach further back.
CALENDAR = [str(d.date()) for d in pd.date_range("2020-11-15", "2021-01-14") if d.weekday() not in (4, 5)]
HISTORY = -(-max_window() // 24) + 4
WINDOWS = {spec.name: spec.window for spec in FEATURES}
PRICES = Schema(
    "silver/prices",
    "Prices.",
    (
        Column("instrument", "object", "symbol"),
        Column("time", UTC_TIME, "bar open"),
        Column("close", "float64", "price", nullable=True, low=0),
        Column("trades", "int64", "count"),
        Column("known", UTC_TIME, "when it was known", nullable=True),
    ),
)


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    source = SampleSource("sample", {})  # pyright: ignore[reportArgumentType]
    span = pd.Timestamp("2020-11-15T22:00Z"), pd.Timestamp("2021-01-15T22:00Z")
    parts = [source.candles(s, "H1", *span).assign(instrument=s) for s in ("GBP_USD", "USD_JPY")]
    frame = pd.concat(parts, ignore_index=True)
    # One instrument begins later, so that sessions have enough history of one and too little of the other.
    return frame[(frame["instrument"] == "GBP_USD") | (frame["time"] >= "2020-12-08T22:00Z")]


def compute(bars: pd.DataFrame) -> pd.DataFrame:
    """Every feature that needs no file, as silver and gold make them."""
    own = compute_features(bars, SILVER_GROUPS)
    return side_by_side(own, market_table(bars, {"GBP_USD": 60, "USD_JPY": 60}, None))


def seen_by(bars: pd.DataFrame, keys: list[str], history: int) -> pd.DataFrame:
    first = max(0, CALENDAR.index(keys[0]) - history)
    return bars[session_keys(bars["time"]).isin(CALENDAR[first : CALENDAR.index(keys[-1]) + 1])]


def run(bars: pd.DataFrame, keys: list[str], history: int = HISTORY) -> pd.DataFrame:
    """What a run over `keys` computes: it sees its own sessions and the lookback before them, nothing else."""
    seen = seen_by(bars, keys, history)
    found = by_session(keys, seen, compute, history, WINDOWS, CALENDAR)
    return found.sort_values(["time", "instrument"], ignore_index=True)


def test_the_range_makes_no_difference_to_any_bit(bars):
    whole = run(bars, CALENDAR)
    middle = len(CALENDAR) // 2
    halves = pd.concat([run(bars, CALENDAR[:middle]), run(bars, CALENDAR[middle:])], ignore_index=True)
    pd.testing.assert_frame_equal(whole, halves, check_exact=True)
    for key in [CALENDAR[0], "2020-12-06", "2020-12-08", "2020-12-24", "2020-12-27", "2021-01-03", CALENDAR[-1]]:
        alone = run(bars, [key])
        part = whole[session_keys(whole["time"]) == key].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, part, check_exact=True)
    assert len(whole) == len(bars)


def gapped(bars: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The bars with holes: single bars, whole sessions and stretches of weeks, other ones in each instrument."""
    rng = np.random.default_rng(seed)
    parts = []
    for _, part in bars.groupby("instrument", sort=True):
        keep = rng.random(len(part)) > rng.choice([0.0, 0.05, 0.5])
        for _ in range(int(rng.integers(0, 4))):
            start = int(rng.integers(0, len(part)))
            keep[start : start + int(rng.choice([3, 24, 200, 500]))] = False
        parts.append(part[keep])
    return pd.concat(parts, ignore_index=True)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_gaps_in_one_instrument_do_not_make_the_range_matter_to_another(bars, seed):
    """Windows across instruments too: their bars are counted in the instrument's own rows."""
    holes, history = gapped(bars, seed), 4
    whole = run(holes, CALENDAR, history)
    rng = np.random.default_rng(seed)
    for first in rng.integers(0, len(CALENDAR) - 6, 3):
        keys = CALENDAR[first : first + int(rng.choice([1, 5]))]
        part = whole[session_keys(whole["time"]).isin(keys)].reset_index(drop=True)
        pd.testing.assert_frame_equal(run(holes, keys, history), part, check_exact=True)


def test_rows_come_as_tables_store_them(bars):
    found = by_session(CALENDAR, bars, compute, HISTORY, WINDOWS, CALENDAR)
    assert found[["time", "instrument"]].equals(
        found[["time", "instrument"]].sort_values(["time", "instrument"], ignore_index=True)
    )


@pytest.mark.parametrize("history", [1, 4, 12])
def test_a_session_has_what_it_would_have_if_nothing_else_were_there(bars, history):
    """The masks against the plain computation of each session from its own history, with ever too little of it."""
    whole = run(bars, CALENDAR, history)
    for key in CALENDAR[-12::3]:
        alone = compute(seen_by(bars, [key], history)).sort_values(["time", "instrument"], ignore_index=True)
        alone = alone[session_keys(alone["time"]) == key].reset_index(drop=True)
        part = whole[session_keys(whole["time"]) == key].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, part, check_exact=True)


def test_without_its_care_for_short_histories_the_range_would_matter(bars):
    """The checks above can fail: the plain pass differs in sessions whose lookback is too short."""
    plain, careful = compute(bars), by_session(CALENDAR, bars, compute, 4, WINDOWS, CALENDAR)
    assert plain.notna().sum().sum() > careful.notna().sum().sum() > 0


def test_no_bars_give_no_rows():
    nothing = pd.DataFrame({"time": pd.DatetimeIndex([], tz="UTC"), "instrument": []})
    assert by_session(["2021-01-04"], nothing, lambda frame: frame, 3, {}, CALENDAR).empty


@given(st.integers(1, 60), st.integers(0, 5000), st.integers(1, 200), st.integers(1, 10**6))
def test_chunks_are_the_keys_in_order_and_fit_unless_one_session_does_not(sessions, rows, columns, cells):
    keys = [str(n) for n in range(sessions)]
    cut = list(chunks(keys, rows, columns, cells))
    assert [key for chunk in cut for key in chunk] == keys
    assert all(len(chunk) == 1 or len(chunk) * rows * columns <= cells for chunk in cut)


def prices(keys: list[str], rng: np.random.Generator) -> pd.DataFrame:
    starts = [pd.Timestamp(f"{key}T23:00Z") for key in keys]
    times = [start + pd.Timedelta(hours=hour) for start in starts for hour in range(5)]
    parts = [pd.DataFrame({"instrument": symbol, "time": pd.DatetimeIndex(times)}) for symbol in ("B", "A")]
    frame = pd.concat(parts, ignore_index=True)
    close = np.where(rng.random(len(frame)) < 0.2, np.nan, rng.random(len(frame)))
    trades = np.arange(len(frame))
    return frame.assign(close=close, trades=trades, known=frame["time"].where(trades % 3 > 0))


@given(st.integers(0, 2**32 - 1))
def test_arranging_a_chunk_is_conforming_and_hashing_each_session(seed):
    rng = np.random.default_rng(seed)
    keys = ["2021-01-03", "2021-01-04", "2021-01-06"]
    frame = prices([*keys, "2021-01-07"], rng).sample(frac=1, random_state=int(seed % 1000))
    arranged = arrange(PRICES, frame, ["2021-01-03", "2021-01-04", "2021-01-05", "2021-01-06"])
    conformed = PRICES.conform(frame)
    for key in arranged.slices:
        expected = conformed[session_keys(conformed["time"]) == key].reset_index(drop=True)
        pd.testing.assert_frame_equal(arranged.frame(key), expected, check_exact=True)
        assert arranged.content(key) == content_hash(expected)
        assert arranged.rows(key) == len(expected)
    assert arranged.span("2021-01-05") is None
    assert arranged.span("2021-01-03") == ("2021-01-03 23:00:00+00:00", "2021-01-04 03:00:00+00:00")
    assert arranged.problems() == {}


def test_one_missing_value_is_like_another():
    """The sign of a NaN tells what computed it, and must not tell two equal sessions apart."""
    frame = prices(["2021-01-03"], np.random.default_rng(1)).assign(close=np.nan)
    other = frame.assign(close=-frame["close"])
    assert not np.array_equal(np.signbit(frame["close"]), np.signbit(other["close"]))
    one, two = (arrange(PRICES, f, ["2021-01-03"]).content("2021-01-03") for f in (frame, other))
    assert one == two


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("close", -1.0, "close: 1 values below 0"),
        ("close", np.inf, "close: 1 infinite values"),
        ("instrument", None, "instrument: 1 missing values"),
        ("trades", 1, None),
    ],
)
def test_problems_are_found_in_the_session_that_has_them(column, value, words):
    frame = prices(["2021-01-03", "2021-01-04"], np.random.default_rng(1))
    row = frame.index[frame["time"] == "2021-01-05T02:00Z"][0]
    frame[column] = [value if n == row else old for n, old in enumerate(frame[column])]
    found = arrange(PRICES, frame, ["2021-01-03", "2021-01-04"]).problems()
    assert found == ({} if words is None else {"2021-01-04": [words]})


def test_a_repeated_key_is_a_problem_and_a_missing_column_an_error():
    frame = prices(["2021-01-03"], np.random.default_rng(1))
    twice = pd.concat([frame, frame.tail(2)])
    assert arrange(PRICES, twice, ["2021-01-03"]).problems() == {
        "2021-01-03": ["2 rows repeat the key (time, instrument)"]
    }
    with pytest.raises(DataError, match="column trades is missing"):
        arrange(PRICES, frame.drop(columns="trades"), ["2021-01-03"])


def test_saturday_is_a_session_of_its_own_where_something_trades():
    times = pd.DatetimeIndex(["2021-01-09T12:00Z", "2021-01-09T23:00Z", "2021-01-10T23:00Z"])
    frame = pd.DataFrame({"instrument": "A", "time": times, "trades": [0, 1, 2]})
    weekend = ["2021-01-08", "2021-01-09", "2021-01-10"]
    parts = arrange(PRICES, frame, weekend, all_week=True)
    assert [parts.frame(key)["trades"].tolist() for key in weekend] == [[0], [1], [2]]
    assert arrange(PRICES, frame, weekend[2:]).frame("2021-01-10")["trades"].tolist() == [0, 1, 2]
