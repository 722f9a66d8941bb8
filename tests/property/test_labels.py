"""Properties of the labels that must hold for any price path."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.configuration import Label
from fx_assets.features.blocks import Bars
from fx_assets.features.truncation import differences
from fx_assets.labels import compute
from fx_assets.labels.barrier_kernels import first_touch
from fx_assets.labels.horizon import DAY_US, reach_days, volatility_bars
from tests.fx_assets.labels import plain

SPAN = 3
KINDS = st.one_of(
    st.builds(Label, kind=st.sampled_from(["direction", "return", "large_move"]), horizon_bars=st.integers(1, 30)),
    st.builds(
        Label,
        kind=st.sampled_from(["direction", "return", "large_move"]),
        horizon_minutes=st.sampled_from([60, 180, 1440]),
    ),
    st.builds(
        Label,
        kind=st.sampled_from(["triple_barrier", "meta"]),
        timeout_bars=st.integers(1, 40),
        up=st.sampled_from([0.3, 1.0, 2.5]),
        down=st.sampled_from([0.3, 1.0, 2.5]),
        volatility_span=st.just(SPAN),
    ),
)
PATHS = st.builds(
    plain.walk,
    st.integers(0, 2**32 - 1),
    st.integers(2, 700),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.9]),
    st.sampled_from([0.0, 0.02]),
)
OUTCOME = {"label", "label_end", "forward_return", "barrier", "decision_time"}


@settings(deadline=None)
@given(
    st.builds(plain.walk, st.integers(0, 2**32 - 1), st.integers(2, 400), st.just(0.1), st.just(0.3), st.just(0.05)),
    st.floats(1e-4, 0.02),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.5, 1.0]),
    st.sampled_from([1, 5, 15, 16, 17, 33, 300]),
    st.integers(1, 400),
    st.data(),
)
def test_barriers_equal_walking_from_bar_to_bar(bars, width, up, down, timeout, reach_hours, data):
    sides = np.array(data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=7, max_size=7)), np.int8)
    block, n = Bars.read(bars).blocks[0], len(bars)
    side = np.resize(sides, n)
    reach = reach_hours * plain.HOUR_US
    prices = (block.open, block.high, block.low, block.close)
    ends, touched, change = first_touch(*prices, block.time_us, np.full(n, width), side, up, down, timeout, reach)
    for i in data.draw(st.lists(st.integers(0, max(0, n - 1)), max_size=12)) if n else ():
        expected = plain.first_touch(bars, i, width, int(side[i]), up, down, timeout, reach)
        np.testing.assert_array_equal((ends[i], touched[i], change[i]), expected)


@settings(max_examples=30, deadline=None)
@given(PATHS, KINDS, st.data())
def test_no_row_knows_its_future_but_by_its_label(bars, label, data):
    cut = data.draw(st.integers(1, len(bars))) if len(bars) else 0
    whole, part = compute(bars, label, 60), compute(bars.head(cut), label, 60)
    known = [name for name in whole.columns if name not in OUTCOME]
    assert next(differences(whole[known], part[known]), None) is None
    # What was decided by then stays as it was.
    decided = part[part["label"].notna()]
    values = ["instrument", "time", "label", "forward_return"]
    assert next(differences(whole[values], decided[values]), None) is None


@settings(max_examples=30, deadline=None)
@given(PATHS, KINDS, st.integers(0, 300))
def test_a_value_is_missing_or_the_same_wherever_the_bars_start(bars, label, skip):
    whole, later = compute(bars, label, 60), compute(bars.iloc[skip:], label, 60)
    same = whole.iloc[skip:].reset_index(drop=True)
    for name in set(whole.columns) - {"instrument", "time", "decision_time", "label_end", "persistence"}:
        both = later[name].notna() & same[name].notna()
        assert (later.loc[both, name] == same.loc[both, name]).all()
    warmup = 1 if not label.has_barriers else volatility_bars(SPAN) + 1
    if label.kind != "large_move":
        settled = later.index >= warmup
        values = ["instrument", "time", "label", "forward_return"]
        assert next(differences(same[values], later.loc[settled, values]), None) is None


@settings(max_examples=30, deadline=None)
@given(PATHS, KINDS)
def test_a_label_ends_after_its_decision_and_says_what_its_return_says(bars, label):
    found = compute(bars, label, 60)
    known = found[found["label"].notna()]
    wait = known["label_end"] - known["decision_time"]
    assert (wait.dt.total_seconds() > 0).all()
    assert (wait.dt.total_seconds() * 1e6 <= reach_days(label.minutes(60)) * DAY_US + 1).all()
    if label.kind == "return":
        assert known["label"].equals(known["forward_return"])
    elif label.kind == "meta":
        assert ((known["side"] * known["forward_return"] > 0) == (known["label"] == 1.0)).all()
    elif label.kind != "large_move":
        assert ((known["forward_return"] > 0) == (known["label"] == 1.0)).all()
        assert (known["forward_return"] != 0).all()
