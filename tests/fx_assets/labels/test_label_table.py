"""gold/labels: the same whether it is made session by session or at once, and complete for every kind of label."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fx_assets
from fx_assets.configuration import Label
from fx_assets.features.truncation import differences
from fx_assets.gold.labels import label_table
from fx_assets.labels import compute, label_columns, label_sessions, outcome, return_column
from fx_assets.labels.columns import gold_names
from fx_assets.sessions import session_keys

SAMPLE = Path(fx_assets.__file__).parent / "sample"
MINUTES = {"GBP_USD": 60, "USD_JPY": 60}
LABELS = (
    Label(kind="large_move", horizon_minutes=60),
    Label(kind="direction", horizon_minutes=240),
    Label(kind="direction", horizon_bars=24),
    Label(kind="return", horizon_bars=1),
    Label(kind="large_move", horizon_bars=3),
    Label(kind="triple_barrier", timeout_bars=48, up=1.5, volatility_span=24),
    Label(kind="meta", timeout_bars=12, volatility_span=24),
    Label(kind="meta", timeout_bars=12, volatility_span=24, primary="direction_4h"),
)


@pytest.fixture(scope="module")
def candles() -> pd.DataFrame:
    parts = [pd.read_parquet(SAMPLE / f"{name}_H1.parquet").head(3000).assign(instrument=name) for name in MINUTES]
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(available_at=(frame["time"] + pd.Timedelta(hours=1)).dt.as_unit("us"))


@pytest.fixture(scope="module")
def table(candles) -> pd.DataFrame:
    return label_table(candles, LABELS, MINUTES)


def test_every_declared_column_is_there_and_bounded(table):
    declared = label_columns(LABELS)
    assert len({column.name for column in declared}) == len(declared)
    assert set(table.columns) == {"instrument", "time", "available_at", *(column.name for column in declared)}
    for column in declared:
        values = table[column.name]
        assert values.dtype == column.dtype
        assert values.notna().mean() > 0.5
        assert column.low is None or values.min() >= column.low
        assert column.high is None or values.max() <= column.high
    for label in LABELS:
        assert set(gold_names(label).values()) <= set(table.columns)


@pytest.mark.parametrize("label", LABELS, ids=lambda label: label.column)
def test_a_session_alone_has_the_same_bits_as_in_one_go(candles, label):
    whole = label_table(candles, [label], MINUTES)
    sessions = session_keys(candles["time"])
    keys = sorted(sessions.unique())
    before, ahead = label_sessions([label], [60])
    values = [name for name in whole.columns if name not in ("available_at",)]
    moments = [name for name in values if "_end" in name]
    plain = [name for name in values if name not in moments]
    inside = session_keys(whole["time"])
    # Among them the weekends, Thanksgiving, Christmas and the New Year of 2020.
    for at in range(before, len(keys) - ahead):
        near = candles[sessions.isin(keys[at - before : at + ahead + 1])]
        alone = label_table(near, [label], MINUTES)
        alone = alone[session_keys(alone["time"]) == keys[at]]
        own = whole[inside == keys[at]]
        assert len(alone) == len(own) > 0
        assert next(differences(own[plain], alone[plain]), None) is None
        for name in moments:
            assert alone[name].reset_index(drop=True).equals(own[name].reset_index(drop=True))


def test_labels_side_by_side_are_those_made_alone(candles, table):
    for label in LABELS[:-1]:
        alone = compute(candles, label, 60)
        found = outcome(table, label)
        for name in found.columns:
            assert found[name].equals(alone[name]), (label.column, name)


def test_threads_make_the_same(candles, table, monkeypatch):
    from importlib import import_module

    monkeypatch.setattr(import_module("fx_assets.labels.compute"), "_WORTH_THREADS", 1)
    pd.testing.assert_frame_equal(label_table(candles, LABELS, MINUTES), table, check_exact=True)


def test_the_side_of_another_model_chooses_between_both_outcomes(candles, table):
    label = LABELS[-1]
    rng = np.random.default_rng(1)
    forecasts = table[["instrument", "time"]].assign(prediction=rng.choice([0.3, 0.5, 0.9], len(table)))
    forecasts = forecasts.sample(frac=0.8, random_state=2)
    found = outcome(table, label, forecasts)
    merged = table.merge(forecasts, on=["instrument", "time"], how="left")
    long, short = merged["prediction"] > 0.5, merged["prediction"] < 0.5
    for side, chosen, other in (("long", long, 1.0), ("short", short, -1.0)):
        assert found["side"][chosen].eq(other).all()
        for name, column in (("label", ""), ("label_end", "_end"), ("forward_return", "_return")):
            assert found[name][chosen].equals(table[f"{label.column}_{side}{column}"][chosen])
    neither = ~(long | short)
    assert neither.sum() > 1000
    assert found.loc[neither, ["label", "label_end", "forward_return", "side"]].isna().all(axis=None)
    assert compute(candles, label, 60, forecasts)["label"].equals(found["label"])
    earned = found["side"] * found["forward_return"]
    known = found["label"].notna()
    assert ((earned > 0) == (found["label"] == 1.0))[known].all()


def test_a_side_must_be_known_and_once(candles, table):
    with pytest.raises(ValueError, match="Pass the forecasts of direction_4h"):
        outcome(table, LABELS[-1])
    with pytest.raises(ValueError, match="Pass the forecasts of direction_4h"):
        compute(candles.head(100), LABELS[-1], 60)
    twice = table[["instrument", "time"]].head(1).assign(prediction=0.7)
    with pytest.raises(ValueError, match="stands twice"):
        outcome(table, LABELS[-1], pd.concat([twice, twice]))


def test_an_instrument_with_longer_bars_has_no_label_that_falls_between_them(candles):
    wanted = [Label(kind="direction", horizon_minutes=60), Label(kind="direction", horizon_bars=2)]
    short = candles[candles["instrument"] == "GBP_USD"]
    long = candles[(candles["instrument"] == "USD_JPY") & (candles["time"].dt.hour % 4 == 1)]
    found = label_table(pd.concat([short, long]), wanted, {"GBP_USD": 60, "USD_JPY": 240})
    known = found.notna().groupby(found["instrument"]).mean()
    assert known.at["GBP_USD", "direction_60m"] > 0.8
    assert known.at["USD_JPY", "direction_60m"] == 0
    assert known.at["USD_JPY", "direction_2b"] > 0.8


def test_no_candles_give_no_rows(candles):
    found = label_table(candles.head(0), LABELS, MINUTES)
    assert len(found) == 0
    assert {column.name for column in label_columns(LABELS)} <= set(found.columns)


def test_the_plot_shows_the_shortest_return():
    assert return_column(LABELS) == "forward_return_60m"
    assert return_column(LABELS[2:]) == "forward_return_1b"
    assert return_column(LABELS[6:7]) == "meta_last_sign_12b_1_1_24_return"
    assert return_column(LABELS[7:]) == "meta_direction_4h_12b_1_1_24_long_return"


@pytest.mark.parametrize(
    ("label", "all_week", "expected"),
    [
        (Label(kind="large_move", horizon_minutes=60), False, (41, 1)),
        (Label(kind="large_move", horizon_minutes=60), True, (57, 1)),
        (Label(kind="direction", horizon_minutes=10080), False, (40, 7)),
        (Label(kind="large_move", horizon_minutes=2880), False, (378, 2)),
        (Label(kind="direction", horizon_bars=1), False, (40, 4)),
        (Label(kind="triple_barrier", timeout_bars=24, volatility_span=24), False, (40, 6)),
        (Label(kind="triple_barrier", timeout_bars=24, volatility_span=500), False, (110, 6)),
    ],
)
def test_the_sessions_that_are_read(label, all_week, expected):
    assert label_sessions([label], [60], all_week) == expected
