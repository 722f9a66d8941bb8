"""What the news add up to: formulas on small cases, and no look-ahead and no memory on any."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.errors import DataError
from fx_assets.news import NEWS_SIGNALS, SIGNALS, news_signals
from fx_assets.news.spec import DECAY_HOURS, LONGEST_HOURS, MARKET

MARKET_NAMES = [spec.name for spec in MARKET]
PAIR_NAMES = [spec.name for spec in SIGNALS if spec.pair]
START = pd.Timestamp("2021-01-04", tz="UTC").as_unit("us")


def utc(*texts: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(pd.to_datetime(list(texts), utc=True)).as_unit("us")


def made_up(seed: int, rows: int, days: float = 10, grid: str = "us") -> pd.DataFrame:
    """Headlines at random moments of some days, about EUR and USD now and then."""
    rng = np.random.default_rng(seed)
    moments = START + pd.to_timedelta(rng.integers(0, int(days * 86_400_000_000), rows), unit="us")
    return pd.DataFrame(
        {
            "available_at": pd.DatetimeIndex(moments).floor(grid).as_unit("us"),
            "sentiment": rng.uniform(-1, 1, rows),
            "article_count": rng.integers(0, 4, rows),
            "novelty": rng.random(rows),
            "duplicate_of": np.where(rng.random(rows) < 0.2, "said before", ""),
            "relevance_EUR": rng.choice([0.0, 0.0, 0.5, 1.0], rows),
            "relevance_USD": rng.choice([0.0, 0.3, 0.9], rows),
        }
    )


def by_hand(news: pd.DataFrame, at: pd.Timestamp) -> dict[str, float]:
    """The signals of EUR_USD at one moment, straight from docs/news.md."""
    news = news[(news["available_at"] <= at) & (news["duplicate_of"] == "") & (news["article_count"] > 0)]
    age = ((at - news["available_at"]) / pd.Timedelta(hours=1)).to_numpy()
    mass, value = news["article_count"].to_numpy(float), news["sentiment"].to_numpy()
    novelty = news["novelty"].to_numpy()
    weights = {name: mass * news[f"relevance_{name}"].to_numpy() for name in ("EUR", "USD")}
    either = mass * news[["relevance_EUR", "relevance_USD"]].max(axis=1).to_numpy()
    decay = np.where(age < DECAY_HOURS, 0.5 ** (age / 6), 0.0)

    def mean(weight: np.ndarray, low: float = 0, high: float = 1e9) -> float:
        inside = weight * ((age < high) & (age >= low))
        return float(inside @ value / inside.sum()) if inside.sum() > 0 else 0.0

    def lean(factor: np.ndarray | float, low: float = 0, high: float = 1e9) -> float:
        parts = [w * factor * ((age < high) & (age >= low)) for w in (weights["EUR"], weights["USD"])]
        base, quote = (float(part @ value / (1 + part.sum())) for part in parts)
        return base - quote

    def surprise(weight: np.ndarray) -> float:
        usual = [weight[(age >= 24 * d) & (age < 24 * d + 6)].sum() for d in range(1, 8)]
        return float(np.log((1 + weight[age < 6].sum()) / (1 + np.mean(usual))))

    found = {}
    for hours in (1, 6, 24):
        inside = mass * (age < hours)
        found[f"news_count_{hours}h"] = inside.sum()
        found[f"news_sentiment_{hours}h"] = mean(mass, high=hours)
        centred = inside @ (value - mean(mass, high=hours)) ** 2
        found[f"news_dispersion_{hours}h"] = np.sqrt(centred / inside.sum()) if inside.sum() else 0.0
    both = ((age < 6).any() and ((age >= 6) & (age < 24)).any()) and 1.0
    about = age[either > 0]
    return found | {
        "news_sentiment_decayed": mean(mass * decay),
        "news_age_minutes": min([*(age * 60), 60 * DECAY_HOURS]),
        "news_novel_sentiment_24h": mean(mass * novelty, high=24),
        "news_surprise_6h": surprise(mass),
        "news_sentiment_change": both * (mean(mass, high=6) - mean(mass, 6, 24)),
        "news_pair_count_6h": either[age < 6].sum(),
        "news_pair_count_24h": either[age < 24].sum(),
        "news_pair_sentiment_6h": lean(1.0, high=6),
        "news_pair_sentiment_24h": lean(1.0, high=24),
        "news_pair_sentiment_decayed": lean(decay),
        "news_pair_novel_sentiment_24h": lean(novelty, high=24),
        "news_pair_surprise_6h": surprise(either),
        "news_pair_sentiment_change": lean(1.0, high=6) - lean(1.0, 6, 24),
        "news_pair_age_minutes": min([*(about * 60), 60 * DECAY_HOURS]),
    }


@pytest.mark.parametrize(("seed", "rows"), [(1, 2000), (2, 60), (3, 4)])
def test_every_signal_is_what_its_formula_says(seed, rows):
    news = made_up(seed, rows)
    at = pd.date_range(START + pd.Timedelta(hours=5), periods=25, freq="11h7min", unit="us")
    found = news_signals(news, at, "EUR_USD")
    assert list(found.columns) == list(NEWS_SIGNALS)
    for moment, row in zip(at, found.to_dict("records"), strict=True):
        assert row == pytest.approx(by_hand(news, moment), abs=2e-3, rel=1e-5), moment


def test_without_novelty_in_between_the_formulas_hold_closely():
    """Novelty is kept to a thousandth; everything else to a millionth."""
    news = made_up(4, 1500).assign(novelty=1.0)
    at = pd.date_range(START, periods=30, freq="9h", unit="us")
    found = news_signals(news, at, "EUR_USD")
    for moment, row in zip(at, found.to_dict("records"), strict=True):
        assert row == pytest.approx(by_hand(news, moment), abs=3e-6, rel=1e-6)


def test_windows_hold_only_what_was_known():
    news = pd.DataFrame(
        {
            "available_at": utc("2021-01-04 10:00", "2021-01-04 11:30", "2021-01-04 12:00", "2021-01-04 12:01"),
            "sentiment": [0.5, -0.5, 1.0, -1.0],
            "article_count": [3, 1, 2, 9],
        }
    )
    first, *quiet = news_signals(news, utc("2021-01-04 12:00", "2021-01-04 09:59", "2021-01-19 00:00")).to_dict(
        "records"
    )
    assert first["news_count_1h"] == 3  # 11:30 and 12:00; 12:01 is not known yet
    assert first["news_sentiment_1h"] == pytest.approx((-0.5 + 2 * 1.0) / 3)
    assert first["news_count_6h"] == 6
    assert first["news_age_minutes"] == 0
    neutral = {spec.name: spec.neutral for spec in MARKET}
    assert quiet == [neutral, neutral]


def test_an_edge_belongs_to_the_newer_side():
    """(t - window, t]: news of exactly an hour ago is out, that of this moment is in."""
    news = pd.DataFrame({"available_at": utc("2021-01-04 11:00", "2021-01-04 12:00"), "sentiment": [0.5, -0.25]})
    row = news_signals(news, utc("2021-01-04 12:00")).iloc[0]
    assert (row["news_count_1h"], row["news_sentiment_1h"], row["news_count_6h"]) == (1, -0.25, 2)


def test_equal_sentiments_have_no_dispersion_whatever_their_number():
    news = made_up(5, 3000).assign(sentiment=0.7391, duplicate_of="")
    found = news_signals(news, pd.date_range(START, periods=200, freq="1h", unit="us"))
    assert (found[[f"news_dispersion_{h}h" for h in (1, 6, 24)]] == 0).all(axis=None)
    assert found["news_sentiment_24h"].iloc[-1] == pytest.approx(0.7391, abs=1e-6)


def test_news_of_one_currency_moves_only_that_currencys_pairs():
    news = pd.DataFrame(
        {"available_at": utc("2021-01-04 11:00"), "sentiment": [0.8], "relevance_GBP": [1.0], "relevance_USD": [0.0]}
    )
    at = utc("2021-01-04 12:00")
    of = {pair: news_signals(news, at, pair).iloc[0] for pair in ("GBP_USD", "EUR_GBP", "EUR_USD", "USD_JPY", "XYZ")}
    assert of["GBP_USD"]["news_pair_sentiment_6h"] == pytest.approx(0.4, abs=1e-6)
    assert of["EUR_GBP"]["news_pair_sentiment_6h"] == -of["GBP_USD"]["news_pair_sentiment_6h"]
    neutral = {spec.name: spec.neutral for spec in SIGNALS if spec.pair}
    for pair in ("EUR_USD", "USD_JPY", "XYZ"):
        assert of[pair][PAIR_NAMES].to_dict() == neutral
        assert of[pair][MARKET_NAMES].equals(of["GBP_USD"][MARKET_NAMES])


def test_a_repeated_headline_counts_once():
    news = made_up(6, 400)
    alone = news[news["duplicate_of"] == ""]
    at = pd.date_range(START, periods=60, freq="4h", unit="us")
    assert news_signals(news, at, "EUR_USD").equals(news_signals(alone, at, "EUR_USD"))


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA])
def test_a_headline_without_a_mark_repeats_none(nothing):
    news = made_up(5, 60)
    times = pd.date_range(START, periods=20, freq="12h", unit="us")
    unmarked = news.assign(duplicate_of=news["duplicate_of"].astype(object).where(news["duplicate_of"] != "", nothing))
    pd.testing.assert_frame_equal(news_signals(unmarked, times, "EUR_USD"), news_signals(news, times, "EUR_USD"))
    none = news_signals(news.assign(duplicate_of=nothing), times, "EUR_USD")
    pd.testing.assert_frame_equal(none, news_signals(news.drop(columns="duplicate_of"), times, "EUR_USD"))
    assert none["news_count_24h"].max() > 0


@given(
    st.integers(0, 10_000),
    st.integers(0, 120),
    st.sampled_from(["us", "1h", "6h"]),
    st.lists(st.integers(0, 12 * 24 * 4), min_size=1, max_size=40),
    st.integers(0, 40),
)
def test_no_look_ahead_no_memory_and_no_order(seed, rows, grid, quarters, cut):
    """Cutting the future, cutting what is older than the longest window, another order of headlines or of decision
    times, or one decision at a time: the same bits.
    """
    news = made_up(seed, rows, grid=grid)
    at = pd.DatetimeIndex(sorted(START + pd.to_timedelta([15 * q for q in quarters], unit="min"))).as_unit("us")
    whole = news_signals(news, at, "EUR_USD")
    assert np.isfinite(whole.to_numpy()).all()
    cut = min(cut, len(at) - 1)
    known = news[news["available_at"] <= at[cut]]
    pd.testing.assert_frame_equal(
        news_signals(known, at[: cut + 1], "EUR_USD"), whole.iloc[: cut + 1], check_exact=True
    )
    recent = news[news["available_at"] > at[cut] - pd.Timedelta(hours=LONGEST_HOURS)]
    pd.testing.assert_frame_equal(news_signals(recent, at[cut:], "EUR_USD"), whole.iloc[cut:], check_exact=True)
    shuffled = news.sample(frac=1, random_state=seed)
    pd.testing.assert_frame_equal(
        news_signals(shuffled, at[::-1], "EUR_USD"), whole.iloc[::-1], check_exact=True, check_freq=False
    )
    alone = pd.concat([news_signals(news, at[[i]], "EUR_USD") for i in range(len(at))])
    pd.testing.assert_frame_equal(alone, whole, check_exact=True, check_freq=False)


@given(st.integers(0, 10_000))
def test_bounds_hold_for_extreme_news(seed):
    rng = np.random.default_rng(seed)
    news = made_up(seed, 300, days=1).assign(
        sentiment=rng.choice([1.0, -1.0, np.nan, 5.0], 300), article_count=rng.choice([1e9, 1000, 0, np.nan], 300)
    )
    found = news_signals(news, pd.date_range(START, periods=30, freq="1h", unit="us"), "EUR_USD")
    assert np.isfinite(found.to_numpy()).all()
    for spec in SIGNALS:
        low, _, high = spec.unit.partition("..")
        if high:
            assert found[spec.name].between(float(low) - 1e-9, float(high) + 1e-9).all(), spec.name


def test_no_news_at_all_and_bad_frames():
    at = utc("2021-01-04 12:00")
    empty = pd.DataFrame({"available_at": utc(), "sentiment": np.empty(0)})
    assert news_signals(empty, at, "EUR_USD").iloc[0].to_dict() == {spec.name: spec.neutral for spec in SIGNALS}
    assert news_signals(empty, at[:0], "EUR_USD").shape == (0, len(NEWS_SIGNALS))
    with pytest.raises(DataError, match="sentiment missing"):
        news_signals(empty.drop(columns="sentiment"), at)
    with pytest.raises(DataError, match="time zone"):
        news_signals(empty, at.tz_localize(None))
