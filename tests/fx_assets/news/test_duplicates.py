"""Near-identical headlines: found within a day, by what was known before, whatever the order and the range."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.news import repeats
from fx_assets.news.duplicates import SAME, WINDOW_HOURS, similarity

START = pd.Timestamp("2021-01-04", tz="UTC").as_unit("us")
WORDS = ["dollar", "falls", "softens", "fed", "holds", "rates", "yen", "2", "3", "after"]


def frame(rows: Sequence[tuple[float, str]]) -> pd.DataFrame:
    """Headlines from (hours after START, text)."""
    times = START + pd.to_timedelta([hours for hours, _ in rows], unit="h")
    return pd.DataFrame({"available_at": pd.DatetimeIndex(times).as_unit("us"), "headline": [t for _, t in rows]})


def by_hand(news: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Every pair compared, straight from the docstring."""
    novelty, repeated = np.ones(len(news)), [""] * len(news)
    rows = list(zip(news["available_at"], news["headline"], range(len(news)), strict=True))
    for time, text, row in rows:
        earlier = sorted(r for r in rows if time - pd.Timedelta(hours=WINDOW_HOURS) <= r[0] and r < (time, text, row))
        alike = [similarity(text, other) for _, other, _ in earlier]
        if alike and max(alike) > 0:
            novelty[row] = 1.0 - max(alike)
            if max(alike) >= SAME:
                repeated[row] = earlier[alike.index(max(alike))][1]
    return novelty, repeated


headlines = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 1.0, 5.5, 23.0, 24.0, 24.5, 47.0, 48.0, 70.0]),
        st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
    ),
    max_size=25,
    unique=True,  # as in the table: a headline once a moment
)


@given(headlines)
def test_it_is_what_comparing_every_pair_gives(rows):
    news = frame(rows)
    novelty, repeated = repeats(news)
    expected, same = by_hand(news)
    assert np.array_equal(novelty, expected)
    assert repeated.tolist() == same


@given(headlines, st.randoms(use_true_random=False), st.integers(0, 25))
def test_what_comes_later_or_lies_further_back_changes_nothing(rows, random, cut):
    news = frame(rows)
    novelty, repeated = repeats(news)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = repeats(news.iloc[order].reset_index(drop=True))
    assert np.array_equal(shuffled[0], novelty[order])
    assert shuffled[1].tolist() == repeated[order].tolist()
    if not rows:
        return
    moment = news["available_at"].iloc[min(cut, len(rows) - 1)]
    known = (news["available_at"] <= moment).to_numpy()
    assert np.array_equal(repeats(news[known])[0], novelty[known])
    recent = (news["available_at"] >= moment - pd.Timedelta(hours=WINDOW_HOURS)).to_numpy()
    late = (news["available_at"] >= moment).to_numpy()
    assert np.array_equal(repeats(news[recent])[0][late[recent]], novelty[late])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Dollar rises against the yen after Fed minutes", "Dollar falls against the yen after Fed minutes"),
        ("Dow climbs 200 points in early trade on Wall Street", "Dow climbs 300 points in early trade on Wall Street"),
        ("Fed raises rates", "ECB raises rates"),
        (
            "Gold firms on safe-haven demand in early trade on Monday",
            "Gold softens on safe-haven demand in early trade on Monday",
        ),
        (
            "Bank of England likely to tighten policy in June after strong wage data",
            "Bank of England likely to ease policy in June after strong wage data",
        ),
        (
            "UK inflation accelerates to match forecasts in the month of May",
            "UK inflation decelerates to match forecasts in the month of May",
        ),
        ("ECB officials strike hawkish tone on rates in June", "ECB officials strike dovish tone on rates in June"),
        ("Trade gap of Japan widens in May from April", "Trade gap of Japan narrows in May from April"),
        ("Apple in talks to buy Tesla", "Tesla in talks to buy Apple"),
        (
            "Dollar rises, yen falls in early Asian trade on Monday",
            "Yen rises, dollar falls in early Asian trade on Monday",
        ),
    ],
)
def test_another_direction_order_number_or_bank_is_other_news(one, other):
    assert repeats(frame([(0, one), (1, other)]))[1].tolist() == ["", ""]


def test_punctuation_case_and_a_publishers_name_are_the_same_news():
    rows = [
        (0, "U.S. stocks close at record high as tech shares rally on earnings"),
        (2, "US STOCKS CLOSE AT RECORD HIGH AS TECH SHARES RALLY ON EARNINGS!"),
        (3, "U.S. stocks close at record high as tech shares rally on earnings - Reuters"),
    ]
    novelty, repeated = repeats(frame(rows))
    assert [bool(text) for text in repeated] == [False, True, True]
    assert novelty[0] == 1 > SAME > 1 - SAME > novelty[2] > 0


def test_after_a_day_it_is_news_again():
    rows = [(0, "Fed holds rates"), (24, "Fed holds rates"), (48.01, "Fed holds rates")]
    assert repeats(frame(rows))[1].tolist() == ["", "Fed holds rates", ""]


def test_near_duplicates_among_the_samples_headlines_are_found(sample_headlines):
    novelty, repeated = repeats(sample_headlines)
    same = repeated != ""
    found = dict(zip(sample_headlines["headline"][same], repeated[same], strict=True))
    later = "5 - Signs Stock Market Investors Are Too Bullish \u2013 Investment Watch"
    assert found[later] == "5 Signs Stock Market Investors Are Too Bullish"
    exact = sample_headlines.loc[same, "headline"].to_numpy() == repeated[same]
    assert (same.sum(), (~exact).sum()) == (373, 59)  # docs/news.md states them
    assert (novelty[same] <= 1 - SAME + 1e-9).all()
    assert repeats(sample_headlines.head(0))[0].shape == (0,)
