"""Comparing rows: a table equals itself, each planted defect is found and named, and the sides may be swapped."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fx_assets.compare.equality import equal_numbers, same_kind
from fx_assets.compare.mapping import Tolerance
from fx_assets.compare.spool import Spool
from fx_assets.compare.tally import TableTally
from fx_assets.schemas import UTC_TIME
from tests.counts import count

few = settings(max_examples=max(8, count("property_examples") // 5))  # each example compares several tables
KEY = ("time", "instrument")
FIGURES = ("close", "ret", "volume")
ODD = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")]))


def bars(seed: int = 0, rows: int = 150, minutes: int = 15) -> pd.DataFrame:
    """A walk of each instrument, weekends left out."""
    rng = np.random.default_rng(seed)
    times = pd.date_range("2021-03-01", periods=3 * rows, freq=f"{minutes}min", tz="UTC").as_unit("us")
    times = times[times.weekday < 5][:rows]
    made = []
    for number, name in enumerate(("EUR_USD", "USD_JPY")):
        ret = rng.normal(size=rows) * 1e-4
        close = (1.1 + 100 * number) * np.exp(np.cumsum(ret))
        volume = rng.integers(1, 5000, rows).astype(float)
        made.append(pd.DataFrame({"time": times, "instrument": name, "close": close, "ret": ret, "volume": volume}))
    return pd.concat(made, ignore_index=True)


def moved(frame: pd.DataFrame, minutes: int) -> pd.DataFrame:
    return frame.assign(time=(frame["time"] + pd.Timedelta(minutes=minutes)).astype(UTC_TIME))


def tallied(old: pd.DataFrame, new: pd.DataFrame) -> TableTally:
    names = [c for c in new.columns if c in old.columns and c not in KEY]
    tally = TableTally(KEY, dict.fromkeys(names, Tolerance()))
    for column in tally.columns.values():
        column.types = {"old": "", "new": ""}
    tally.add(old.reset_index(drop=True), new.reset_index(drop=True))
    return tally


def causes(old: pd.DataFrame, new: pd.DataFrame) -> dict[str | None, str]:
    """By column, what was proved."""
    return {cause.column: cause.words for cause in tallied(old, new).causes()}


def differing(tally: TableTally) -> set[str]:
    return {c.name for c in map(lambda column: column.found(), tally.columns.values()) if c.equal < c.rows}


# ---- equality -------------------------------------------------------------------------------------------------------


@given(st.data(), st.integers(1, 60))
def test_a_table_equals_itself_in_any_order(data, rows):
    """Whatever its values are, and with keys that repeat: what differs is never the order."""
    made = {name: data.draw(arrays(np.float64, rows, elements=ODD)) for name in FIGURES}
    minutes = data.draw(arrays(np.int64, rows, elements=st.integers(0, 20), unique=rows <= 20))
    times = pd.Timestamp("2021-03-01", tz="UTC").as_unit("us") + pd.to_timedelta(minutes, unit="min")
    text = data.draw(st.lists(st.sampled_from(["a", "", None]), min_size=rows, max_size=rows))
    frame = pd.DataFrame({"time": times, "instrument": "EUR_USD", "note": pd.Series(text, dtype=object), **made})
    order = frame["time"].argsort(kind="stable")
    tally = tallied(frame, frame.iloc[order])
    assert tally.both == rows
    assert differing(tally) == set()
    assert tally.side("old", rows, None).repeated_keys == rows - len(np.unique(minutes))
    assert not tally.causes()


@given(arrays(np.float64, 50, elements=ODD), arrays(np.float64, 50, elements=ODD), st.floats(0, 1), st.floats(0, 0.5))
def test_equality_does_not_depend_on_the_side(old, new, absolute, relative):
    tolerance = Tolerance(absolute=absolute, relative=relative)
    assert (equal_numbers(old, new, tolerance) == equal_numbers(new, old, tolerance)).all()


@given(st.integers(0, 2**32 - 1), st.floats(1e-6, 1e-2))
def test_the_tolerance_is_the_bound(seed, relative):
    values = np.random.default_rng(seed).uniform(0.5, 200, 100)
    tolerance = Tolerance(absolute=0, relative=relative)
    assert equal_numbers(values, values * (1 + 0.9 * relative), tolerance).all()
    assert not equal_numbers(values, values * (1 + 1.2 * relative), tolerance).any()


def test_missing_and_infinite_values_equal_only_themselves():
    nan, inf = np.nan, np.inf
    old, new = np.array([nan, nan, inf, inf, inf, 1.0]), np.array([nan, 1.0, inf, -inf, 1.0, inf])
    assert equal_numbers(old, new, Tolerance(absolute=1e300)).tolist() == [True, False, True, False, False, False]


def test_kinds_that_cannot_be_compared_are_told_from_figures_written_as_text():
    numbers = pd.Series([1.0, 2.5])
    found = same_kind(pd.Series(["1", "2.50"]), numbers)
    assert found is not None
    assert found[0].tolist() == numbers.tolist()
    assert same_kind(pd.Series(["1", "two"]), numbers) is None
    assert same_kind(pd.Series(pd.DatetimeIndex(["2021-03-01T00:00Z"] * 2)), numbers) is None
    assert same_kind(pd.Series([None, None], dtype=object), numbers) is not None


# ---- rows -----------------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 2**32 - 1), st.data())
def test_rows_of_one_side_and_repeated_ones_are_counted(seed, data):
    whole = bars(seed, rows=60)
    flags = st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))
    kept_old, kept_new = (np.array(data.draw(flags)) for _ in range(2))
    tally = tallied(whole[kept_old], whole[kept_new])
    assert tally.both == (kept_old & kept_new).sum()
    assert tally.side("old", 0, None).only == (kept_old & ~kept_new).sum()
    assert tally.side("new", 0, None).only == (kept_new & ~kept_old).sum()
    assert differing(tally) == set()
    back = tallied(whole[kept_new], whole[kept_old])
    assert back.side("new", 0, None).only == tally.side("old", 0, None).only


@few
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_each_changed_value_is_counted_with_its_distance(seed, count):
    old, rng = bars(seed), np.random.default_rng(seed)
    new, rows = old.copy(), rng.choice(len(old), count, replace=False)
    new.loc[rows, "close"] += rng.uniform(0.01, 0.5, count)
    apart = (new["close"] - old["close"]).abs()
    for tally in (tallied(old, new), tallied(new, old)):
        found = tally.columns["close"].found()
        assert found.rows - found.equal == count
        assert found.largest == apart.max()
        assert found.median == pytest.approx(apart[rows].median())
        keys = old.iloc[rows]
        changed = set(zip(keys["time"].astype(str), keys["instrument"], strict=True))
        assert {(e.key["time"].replace("T", " "), e.key["instrument"]) for e in found.examples} <= changed
        assert len(found.examples) == min(count, 3)
        assert differing(tally) == {"close"}


def test_a_value_that_one_side_lacks_is_counted_by_side():
    old, new = bars(), bars()
    old.loc[:4, "ret"] = np.nan
    new.loc[10:12, "ret"] = np.nan
    found = tallied(old, new).columns["ret"].found()
    assert (found.missing_old, found.missing_new, found.rows - found.equal) == (5, 3, 8)
    assert found.largest is None


# ---- causes ---------------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 2**32 - 1), st.sampled_from([15, 60, 1440]), st.data())
def test_a_constant_shift_of_time_is_named_with_its_size(seed, minutes, data):
    new = bars(seed, minutes=minutes)
    shift = data.draw(st.sampled_from([-600, -300, -30, 30, 120, 300] if minutes < 1440 else [-300, 120, 600]))
    old = moved(new, shift)
    size = f"{abs(shift) // 60} h" if shift % 60 == 0 else f"{abs(shift)} min"
    for left, right, direction in ((old, new, shift), (new, old, -shift)):
        words = causes(left, right)
        assert set(words) == {None}
        assert f"{size} {'later' if direction > 0 else 'earlier'}" in words[None]


@pytest.mark.parametrize("minutes", [1, 15, 60, 1440])
def test_bars_labelled_by_their_close_are_told_from_another_zone(minutes):
    new = bars(minutes=minutes)
    old = moved(new, minutes)
    assert "the old system labels bars by their close" in causes(old, new)[None]
    assert "the new system labels bars by their close" in causes(new, old)[None]


@dataclass(frozen=True)
class Planted:
    column: str
    change: Callable[[pd.DataFrame], pd.Series]
    words: str
    swapped: str


PLANTED = [
    Planted("close", lambda f: 1 / f["close"], "inverted", "inverted"),
    Planted("ret", lambda f: 1e4 * f["ret"], "the old column is 10,000 times", "the new column is 10,000 times"),
    Planted("ret", lambda f: f["ret"] / 100, "the new column is 100 times", "the old column is 100 times"),
    Planted("ret", lambda f: -f["ret"], "-1 times", "-1 times"),
    Planted("ret", lambda f: f.groupby("instrument")["ret"].shift(-1), "1 rows later: look-ahead", "1 rows earlier"),
    Planted("ret", lambda f: f.groupby("instrument")["ret"].shift(-4), "4 rows later: look-ahead", "4 rows earlier"),
    Planted("ret", lambda f: f.groupby("instrument")["ret"].shift(2), "2 rows earlier", "2 rows later: look-ahead"),
    Planted("close", lambda f: f["close"].astype("float32"), "float32 rounding: the old", "float32 rounding: the new"),
    Planted("close", lambda f: f["close"].round(3), "the old column has 3 decimal", "the new column has 3 decimal"),
]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: p.words)
@few
@given(seed=st.integers(0, 2**32 - 1))
def test_a_planted_defect_is_found_and_named_on_either_side(planted, seed):
    new = bars(seed)
    old = new.assign(**{planted.column: planted.change(new)})
    assert differing(tallied(old, new)) == {planted.column}
    for left, right, words in ((old, new, planted.words), (new, old, planted.swapped)):
        found = causes(left, right)
        assert set(found) == {planted.column}
        assert words in found[planted.column]


def test_inverted_bars_have_high_and_low_swapped():
    new = bars().assign(high=lambda f: f["close"] * 1.001, low=lambda f: f["close"] * 0.998)
    old = new.assign(high=1 / new["low"], low=1 / new["high"])
    assert {column: "inverted" in words for column, words in causes(old, new).items()} == {"high": True, "low": True}


def test_a_cause_that_holds_for_one_instrument_names_it():
    new = bars()
    old = new.assign(close=new["close"].where(new["instrument"] == "EUR_USD", new["close"] / 100))
    assert causes(old, new) == {"close": "scaled: the new column is 100 times the old one, in USD_JPY"}


@few
@given(st.integers(0, 2**32 - 1))
def test_nothing_is_claimed_of_noise(seed):
    """Another feed's figures are not explained away."""
    new, rng = bars(seed), np.random.default_rng(seed)
    old = new.assign(**{name: new[name] * (1 + 0.01 * rng.normal(size=len(new))) for name in FIGURES})
    assert differing(tallied(old, new)) == set(FIGURES)
    assert causes(old, new) == {}


def test_nothing_is_claimed_of_a_few_rows():
    new = bars(rows=9)
    assert causes(moved(new.assign(close=1 / new["close"]), 60), new) == {}


# ---- stretches ------------------------------------------------------------------------------------------------------


def test_stretches_on_the_disk_hold_the_same_rows(tmp_path: Path):
    """However the sides cut their files: nothing is lost, repeated, or on one side in another week."""
    whole = bars(rows=3000)
    assert len(whole) == 6000
    held = Spool(tmp_path, "time", held=0, stretch=100_000)
    for _, frame in whole.groupby("instrument"):
        held.add("old", frame)
    for _, frame in whole.groupby(whole["time"].dt.date):
        held.add("new", frame)
    seen: list[tuple[pd.DataFrame, pd.DataFrame]] = list(held.stretches())
    assert len(seen) > 3
    for side in (0, 1):
        rows = pd.concat([stretch[side] for stretch in seen]).sort_values(list(KEY), ignore_index=True)
        pd.testing.assert_frame_equal(rows, whole.sort_values(list(KEY), ignore_index=True))
    tally = TableTally(KEY, dict.fromkeys(FIGURES, Tolerance()))
    for old, new in seen:
        tally.add(old, new)
        assert max(len(old), len(new)) < len(whole) / 2
    assert (tally.both, [column.same for column in tally.columns.values()]) == (len(whole), [len(whole)] * 3)
