"""What happened to a prediction: by feedback, by the model's own label, and never by what is not known yet."""

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from fx_assets.configuration import Label
from fx_assets.labels import label_frame
from fx_assets.labels.columns import gold_names
from fx_monitoring.quality.outcomes import ADDED, Market, decided, lacks, with_outcomes
from tests.counts import count

OPEN = datetime(2022, 3, 1, tzinfo=UTC)  # a Tuesday
LATE = OPEN + timedelta(days=30)
LABELS = {
    "direction": Label(kind="direction", horizon_minutes=60),
    "move": Label(kind="large_move", horizon_minutes=120),
    "barrier": Label(kind="triple_barrier", timeout_bars=6, volatility_span=4),
    "follows": Label(kind="meta", primary="direction", timeout_bars=6, volatility_span=4),
}
MARKET = Market(LABELS, {"EUR_USD": 60, "GBP_USD": 60})


def candles(days: int = 60, seed: int = 0) -> pd.DataFrame:
    """Hourly bars without weekends, so that every label has its end."""
    rng = np.random.default_rng(seed)
    times = pd.date_range(OPEN - timedelta(days=days - 4), periods=24 * days, freq="h").as_unit("us")
    parts = []
    for symbol in MARKET.bar_minutes:
        close = 1.2 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(times))))
        parts.append(
            pd.DataFrame(
                {
                    "instrument": symbol,
                    "time": times,
                    "available_at": times + pd.Timedelta(hours=1),
                    "open": np.concatenate([[1.2], close[:-1]]),
                    "high": close * 1.0005,
                    "low": close * 0.9995,
                    "close": close,
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def labels() -> pd.DataFrame:
    return label_frame(candles(), list(LABELS.values()), 60)[0]


def asked(at: datetime, model: str = "direction", symbol: str = "EUR_USD", **columns) -> dict:
    row = {
        "prediction_id": "p",
        "instrument": symbol,
        "timestamp": pd.Timestamp(at),
        "model": model,
        "version": "1",
        "prediction": 0.7,
        "feature_time": pd.NaT,
        "realized_direction": pd.NA,
        "realized_value": np.nan,
    }
    return row | columns


def frame(*rows: dict) -> pd.DataFrame:
    kinds = {
        "prediction_id": "string",
        "instrument": "string",
        "timestamp": "datetime64[us, UTC]",
        "model": "string",
        "version": "string",
        "feature_time": "datetime64[us, UTC]",
        "realized_direction": "Int64",
        "realized_value": "float64",
    }
    made = pd.DataFrame(list(rows), columns=list(asked(OPEN)))
    # Where all are missing, pandas takes them for times without a zone.
    made["feature_time"] = pd.to_datetime(made["feature_time"], utc=True)
    return made.astype(kinds)


def only(found: pd.DataFrame) -> pd.Series:
    assert len(found) == 1
    return found.iloc[0]


def truth(labels: pd.DataFrame, model: str, close: datetime, symbol: str = "EUR_USD") -> pd.Series:
    row = labels[(labels["instrument"] == symbol) & (labels["available_at"] == close)]
    return only(row.rename(columns={name: inner for inner, name in gold_names(LABELS[model]).items()}))


@pytest.mark.parametrize("model", ["direction", "move", "barrier"])
@pytest.mark.parametrize("minutes", [0, 3, 59])
def test_a_prediction_speaks_of_the_newest_bar_that_had_closed(labels, model, minutes):
    found = only(with_outcomes(frame(asked(OPEN + timedelta(minutes=minutes), model)), labels, MARKET, LATE))
    wanted = truth(labels, model, OPEN)
    assert found["decision_time"] == OPEN
    assert found["outcome"] == wanted["label"]
    assert found["label_end"] == wanted["label_end"]
    assert found["forward_return"] == wanted["forward_return"]
    assert found["outcome_source"] == "label"


def test_the_bar_that_the_features_were_of_counts_not_the_moment_of_asking(labels):
    at, seen = OPEN + timedelta(hours=5, minutes=10), OPEN + timedelta(hours=3)
    found = only(with_outcomes(frame(asked(at, feature_time=pd.Timestamp(seen))), labels, MARKET, LATE))
    assert found["decision_time"] == seen
    assert found["outcome"] == truth(labels, "direction", seen)["label"]


def test_no_bar_near_means_no_outcome(labels):
    last = labels["available_at"].max()
    found = only(with_outcomes(frame(asked(last + pd.Timedelta(hours=1))), labels, MARKET, LATE))
    assert np.isnan(found["outcome"])
    assert pd.isna(found["outcome_source"])
    assert found["decision_time"] == last + pd.Timedelta(hours=1)


@pytest.mark.parametrize("model", list(LABELS)[:3])
def test_what_is_not_known_yet_is_not_told(labels, model):
    """The table holds the future, as a sample does; the data clock stands a microsecond before the label's end."""
    end = truth(labels, model, OPEN)["label_end"].to_pydatetime()
    early = only(with_outcomes(frame(asked(OPEN, model)), labels, MARKET, end - timedelta(microseconds=1)))
    assert np.isnan(early["outcome"])
    assert np.isnan(early["forward_return"])
    on_time = only(with_outcomes(frame(asked(OPEN, model)), labels, MARKET, end))
    assert on_time["outcome"] in (0.0, 1.0)


def test_when_a_barrier_will_be_touched_is_not_told_beforehand(labels):
    found = decided(labels, LABELS["barrier"], OPEN)
    assert found.loc[found["decision_time"] >= OPEN, "label_end"].isna().all()
    fixed = decided(labels, LABELS["direction"], OPEN)
    assert fixed.loc[fixed["decision_time"] >= OPEN, "label_end"].notna().any(), "a fixed horizon is known anyway"


def test_feedback_wins_over_the_label(labels):
    right = truth(labels, "direction", OPEN)["label"]
    told = asked(OPEN, realized_direction=-1 if right else 1)
    found = only(with_outcomes(frame(told), labels, MARKET, LATE))
    assert found["outcome"] == 1 - right
    assert found["outcome_source"] == "feedback"
    assert only(with_outcomes(frame(told), None, MARKET, LATE))["outcome"] == 1 - right, "no label is needed"


@pytest.mark.parametrize(("direction", "outcome"), [(1, 1.0), (0, 0.0), (-1, 0.0)])
def test_a_direction_of_one_is_the_positive_label(direction, outcome):
    found = only(with_outcomes(frame(asked(OPEN, "move", realized_direction=direction)), None, MARKET, LATE))
    assert found["outcome"] == outcome


def test_a_value_alone_is_held_against_the_label(labels):
    usual = truth(labels, "move", OPEN)["threshold"]
    rows = [asked(OPEN, "move", realized_value=v) for v in (-1.5 * usual, 1.5 * usual, 0.5 * usual)]
    assert with_outcomes(frame(*rows), labels, MARKET, OPEN)["outcome"].tolist() == [1.0, 1.0, 0.0]
    by_sign = [asked(OPEN, realized_value=v) for v in (0.001, -0.001, 0.0)]
    found = with_outcomes(frame(*by_sign), None, MARKET, OPEN)["outcome"]
    assert found.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(found.iloc[2]), "neither up nor down"
    unsized = only(with_outcomes(frame(asked(OPEN, "move", realized_value=0.001)), None, MARKET, OPEN))
    assert np.isnan(unsized["outcome"]), "whether that is much only the label can say"


def test_a_meta_label_follows_what_its_primary_said(labels):
    long, short = gold_names(LABELS["follows"])["long"], gold_names(LABELS["follows"])["short"]
    at = labels[(labels["instrument"] == "EUR_USD") & labels[long].notna() & (labels[long] != labels[short])]
    row = at[at["available_at"] >= OPEN].iloc[0]
    close = row["available_at"].to_pydatetime()
    for said, side in ((0.8, long), (0.2, short)):
        both = frame(asked(close, "follows"), asked(close, "direction", prediction=said))
        found = with_outcomes(both, labels, MARKET, LATE)
        assert found.loc[0, "outcome"] == row[side]
    alone = only(with_outcomes(frame(asked(close, "follows")), labels, MARKET, LATE))
    assert np.isnan(alone["outcome"]), "without the primary's word there is no side"


def test_a_version_that_foretells_something_else_is_not_judged_by_this_label(labels):
    found = only(with_outcomes(frame(asked(OPEN)), labels, MARKET, LATE, {("direction", "1"): "another horizon"}))
    assert np.isnan(found["outcome"])
    other = only(with_outcomes(frame(asked(OPEN)), labels, MARKET, LATE, {("direction", "2"): "another horizon"}))
    assert other["outcome"] in (0.0, 1.0)


def test_a_model_that_is_not_configured_and_a_table_without_its_label_give_nothing(labels):
    assert np.isnan(only(with_outcomes(frame(asked(OPEN, "gone")), labels, MARKET, LATE))["outcome"])
    older = labels.drop(columns=[LABELS["direction"].column])
    assert lacks(older, LABELS["direction"])
    assert not lacks(labels, LABELS["direction"])
    assert np.isnan(only(with_outcomes(frame(asked(OPEN)), older, MARKET, LATE))["outcome"])


def test_a_frame_without_rows_has_the_columns(labels):
    found = with_outcomes(frame(), labels, MARKET, LATE)
    assert set(ADDED) <= set(found.columns)
    assert found.empty


@settings(max_examples=count("property_examples"), deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 40 * 24 * 60),
            st.sampled_from(list(LABELS)[:3]),
            st.sampled_from([*MARKET.bar_minutes, "XAU_USD"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 40 * 24 * 60),
)
def test_nothing_of_the_future_in_any_order(labels, rows, clock):
    """Known outcomes end by the clock; they are the same whenever they are known; order does not matter."""
    start = labels["available_at"].min().to_pydatetime()
    now = start + timedelta(minutes=clock)
    given_rows = frame(*(asked(start + timedelta(minutes=m), model, symbol) for m, model, symbol in rows))
    found = with_outcomes(given_rows, labels, MARKET, now)
    known = found["outcome"].notna()
    assert (found.loc[known, "label_end"] <= now).all()
    assert (found.loc[known, "decision_time"] <= found.loc[known, "timestamp"]).all()
    later = with_outcomes(given_rows, labels, MARKET, LATE)
    assert found.loc[known, "outcome"].equals(later.loc[known, "outcome"])
    turned = with_outcomes(given_rows.iloc[::-1].reset_index(drop=True), labels, MARKET, now)
    pd.testing.assert_frame_equal(turned.iloc[::-1].reset_index(drop=True), found)
