"""Who goes to green: sticky, monotone, the right share; and the lease."""

from hypothesis import given
from hypothesis import strategies as st

from fx_serving.routing import Lease, goes_green, position

keys = st.text(min_size=1, max_size=64)
weights = st.floats(min_value=0, max_value=100)


@given(salt=keys, key=keys, low=weights, high=weights)
def test_a_key_stays_green_while_the_weight_rises(salt, key, low, high):
    low, high = sorted((low, high))
    assert goes_green(salt, key, high) or not goes_green(salt, key, low)


@given(salt=keys, key=keys)
def test_nobody_at_zero_everybody_at_hundred(salt, key):
    assert not goes_green(salt, key, 0)
    assert goes_green(salt, key, 100)
    assert 0 <= position(salt, key) <= 100


def test_the_share_is_the_weight_and_differs_between_rollouts():
    many = [f"desk-{i}" for i in range(20_000)]
    for weight in (5, 25, 50):
        share = 100 * sum(goes_green("r1", key, weight) for key in many) / len(many)
        assert abs(share - weight) < 1.2
    both = sum(goes_green("r1", key, 50) and goes_green("r2", key, 50) for key in many) / len(many)
    assert abs(both - 0.25) < 0.02


def test_positions_are_the_same_everywhere():
    """Pinned: workers of two releases must agree, or a key would jump between slots during an upgrade."""
    assert round(position("abc", "desk-7"), 6) == 83.577951


def test_the_lease_begins_only_when_the_counter_moves_and_ends_by_the_own_clock():
    lease = Lease(expire_s=10)
    lease.observe(7, now=0)
    assert not lease.alive(0.1)
    lease.observe(7, now=2)
    assert not lease.alive(2)
    lease.observe(8, now=3)
    assert lease.alive(12.9)
    assert not lease.alive(13)
    lease.observe(8, now=20)
    assert not lease.alive(20)
    lease.observe(9, now=21)
    assert lease.alive(21)
