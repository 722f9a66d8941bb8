"""Headlines as content: what counts as the same, and that merging depends on nothing but the rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.sources import SourceError
from fx_assets.sources.news_content import checked, content_key, distinct, frame

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
def test_merging_keeps_every_content_and_its_earliest_times(rows):
    merged = distinct(frame(rows))
    keys = [content_key(h) for h in merged["headline"]]
    assert sorted(keys) == sorted({content_key(row[2]) for row in rows})
    for key, published, seen in zip(keys, merged["published"], merged["first_seen"], strict=True):
        own = [row for row in rows if content_key(row[2]) == key]
        assert (published, seen) == (min(r[0] for r in own), min(r[1] for r in own))
    assert merged["article_count"].sum() == len(rows)
    assert merged["first_seen"].is_monotonic_increasing


@given(rows_of_news, st.randoms())
def test_merging_does_not_depend_on_the_order_of_rows(rows, shuffled: random.Random):
    other = list(rows)
    shuffled.shuffle(other)
    pd.testing.assert_frame_equal(distinct(frame(rows)), distinct(frame(other)))


@given(rows_of_news)
def test_fetching_the_same_again_changes_nothing(rows):
    once, later = frame(rows), frame([(p, s + timedelta(hours=1), h, a) for p, s, h, a in rows])
    pd.testing.assert_frame_equal(distinct(pd.concat([once, later], ignore_index=True)), distinct(once))
    pd.testing.assert_frame_equal(distinct(distinct(once)), distinct(once))


@given(rows_of_news, st.integers(1, 4))
def test_groups_stay_apart_and_one_pass_is_as_good_as_one_for_each(rows, groups):
    news = frame(rows)
    per = pd.Series(news["first_seen"].dt.minute % groups, index=news.index)
    together = distinct(news, per)
    alone = [distinct(part.reset_index(drop=True)) for _, part in news.groupby(per)]
    order = ["first_seen", "published", "headline", "source"]
    if alone:
        expected = pd.concat(alone, ignore_index=True).sort_values(order, ignore_index=True)
        pd.testing.assert_frame_equal(together.sort_values(order, ignore_index=True), expected)


def test_empty_headlines_are_none():
    assert frame([(NOON, NOON, "  ", "A"), (NOON, NOON, "Yen", "A")])["headline"].tolist() == ["Yen"]


def test_a_headline_seen_outside_the_range_is_refused():
    with pytest.raises(SourceError, match="first seen outside"):
        checked("x", frame([(NOON, NOON, "Yen", "A")]), NOON - timedelta(hours=1), NOON)
