"""Headlines as content: what counts as the same, and that merging depends on nothing but the rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.sources import SourceError
from fx_assets.sources.news_content import checked, content_key, frame

NOON = datetime(2025, 6, 13, 12, tzinfo=UTC)
TITLES = ("Dollar gains", "DOLLAR  GAINS!", "Euro falls", "euro falls.", "Yen steady")
rows_of_news = st.lists(
    st.tuples(
        st.integers(0, 50).map(lambda m: NOON + timedelta(minutes=m)),
        st.integers(0, 50).map(lambda m: NOON + timedelta(minutes=m)),
        st.sampled_from(TITLES),
        st.sampled_from(("A", "B", "C")),
    ),
    max_size=25,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dollar gains", "DOLLAR GAINS"),
        ("Dollar gains, euro falls", "Dollar gains: euro falls!"),
        ("Café prices", "Cafe\u0301 prices"),
        ("Dollar gains - Reuters", "Dollar gains"),
        ("  Dollar\u00a0gains ", "Dollar gains"),
    ],
)
def test_the_same_news(one, other):
    assert content_key(one, "Reuters") == content_key(other, "Reuters")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Dollar gains", "Dollar falls"), ("Dollar gains 1.2 %", "Dollar gains 1.3 %"), ("Euro - dollar", "Euro")],
)
def test_other_news(one, other):
    assert content_key(one, "Reuters") != content_key(other, "Reuters")


@given(rows_of_news)
def test_merging_keeps_every_headline_of_every_moment_and_counts_its_articles(rows):
    merged = frame(rows)
    keys = list(zip(map(content_key, merged["headline"]), merged["source"], merged["first_seen"], strict=True))
    assert sorted(keys) == sorted({(content_key(row[2]), row[3], pd.Timestamp(row[1])) for row in rows})
    for key, published, count in zip(keys, merged["published"], merged["article_count"], strict=True):
        own = [row for row in rows if (content_key(row[2]), row[3], row[1]) == key]
        assert (published, count) == (min(row[0] for row in own), len(own))
    assert merged["first_seen"].is_monotonic_increasing


@given(rows_of_news, st.randoms())
def test_merging_does_not_depend_on_the_order_of_rows(rows, shuffled: random.Random):
    other = list(rows)
    shuffled.shuffle(other)
    pd.testing.assert_frame_equal(frame(rows), frame(other))


@given(rows_of_news, st.integers(0, 50))
def test_what_is_seen_later_changes_nothing_seen_before(rows, minutes):
    moment = NOON + timedelta(minutes=minutes)
    whole = frame(rows)
    known = frame([row for row in rows if row[1] <= moment])
    pd.testing.assert_frame_equal(whole[whole["first_seen"] <= moment], known)


def test_empty_headlines_are_none():
    assert frame([(NOON, NOON, "  ", "A"), (NOON, NOON, "Yen", "A")])["headline"].tolist() == ["Yen"]


def test_a_headline_seen_outside_the_range_is_refused():
    with pytest.raises(SourceError, match="first seen outside"):
        checked("x", frame([(NOON, NOON, "Yen", "A")]), NOON - timedelta(hours=1), NOON)
