"""Schemas: the order, type and bounds of a table, and a hash that sees one bit."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import DataError
from fx_assets.features import GROUPS, specs
from fx_assets.schemas import build_schemas, content_hash, model_features, supplied, views
from tests.fx_assets.small import INSTRUMENTS, MODELS, changed, configuration_of, write_config

SCHEMAS = build_schemas(load_configuration())
CANDLES = SCHEMAS["silver/candles"]


def candles(count: int = 3) -> pd.DataFrame:
    time = pd.date_range("2021-03-01", periods=count, freq="1h", tz="UTC", unit="us")
    prices = {"open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25}
    frame = pd.DataFrame({"time": time, "available_at": time + pd.Timedelta("1h"), **prices})
    return frame.assign(instrument="GBP_USD", source="sample", volume=5)


def test_a_frame_is_ordered_typed_and_sorted():
    shuffled = candles().assign(extra=1).iloc[::-1]
    conformed = CANDLES.conform(shuffled)
    assert list(conformed.columns) == CANDLES.names
    assert conformed["time"].is_monotonic_increasing
    assert conformed.dtypes.astype(str).to_dict() == {c.name: c.dtype for c in CANDLES.columns}
    assert conformed["bid_close"].isna().all()
    assert CANDLES.problems(conformed) == []


def test_an_empty_frame_has_the_same_types():
    assert CANDLES.empty().dtypes.to_dict() == CANDLES.conform(candles()).dtypes.to_dict()
    assert CANDLES.problems(CANDLES.empty()) == []


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"silver/candles: column close is missing; there are .*Mend the step"):
        CANDLES.conform(candles().drop(columns="close"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"close": [1.2, np.nan, 1.2]}, "close: 1 missing values"),
        ({"close": [1.2, np.inf, 1.2]}, "close: 1 infinite values"),
        ({"low": [1.2, 0.0, -1.0]}, "low: 2 values below 1e-09"),
        ({"volume": [1.0, -1.0, 0.0]}, "volume: 1 values below 0"),
        ({"time": pd.Timestamp("2021-03-01", tz="UTC")}, "2 rows repeat the key (time, instrument)"),
        ({"source": ["a", None, "a"]}, "source: 1 missing values"),
    ],
)
def test_problems_are_told_in_words(change, told):
    assert told in CANDLES.problems(CANDLES.conform(candles().assign(**change)))


def test_the_hash_sees_one_bit_a_name_and_a_type_but_not_the_index():
    frame = CANDLES.conform(candles())
    digest = content_hash(frame)
    moved = frame.copy()
    moved.loc[1, "close"] = np.nextafter(1.25, 2)
    others = [moved, frame.rename(columns={"open": "opened"}), frame.astype({"volume": "float32"}), frame.iloc[::-1]]
    assert len({digest, *map(content_hash, others)}) == 5
    assert content_hash(frame.set_axis([7, 8, 9])) == digest


def configured(folder, monkeypatch, **files):
    return configuration_of(write_config(folder, **files), monkeypatch)


def of_pairs(*symbols: str, **options) -> dict:
    return changed(INSTRUMENTS, instruments={s: {"typical_spread": 0.0001, **options.get(s, {})} for s in symbols})


def with_features(**chosen) -> dict:
    return changed(MODELS, models__move__features=chosen)


def test_the_views_hold_every_feature_column_of_gold_once_and_in_order():
    configuration = load_configuration()
    columns = [name for name in SCHEMAS["gold/features"].names if name not in ("instrument", "time", "available_at")]
    assert [name for names in views(configuration).values() for name in names] == columns
    assert list(views(configuration)) == [*GROUPS[:6], "lags", "news_signals"]
    for group in GROUPS[:4]:
        assert views(configuration)[group] == SCHEMAS[f"silver/{group}"].names[3:]
    rest = [*views(configuration)["calendar"], *views(configuration)["cross"]]
    assert rest == SCHEMAS["gold/market_features"].names[3:]


def test_a_model_sees_all_but_quotes_by_default_in_the_order_of_the_views():
    configuration = load_configuration()
    inputs = model_features(configuration, "move_60m")
    every = [(name, view) for view, names in views(configuration).items() for name in names]
    quoted = {spec.name for spec in specs() if {"bid_close", "ask_close"} & set(spec.requires)}
    assert quoted
    assert inputs == [(name, view) for name, view in every if name not in quoted]


def test_groups_exclude_and_candle_columns_choose(tmp_path, monkeypatch):
    chosen = with_features(groups=["microstructure", "lags"], exclude=["gap", "move_adjusted_lag2"], candle_columns=[])
    without = model_features(configured(tmp_path / "a", monkeypatch, models=chosen), "move")
    assert {view for _, view in without} == {"microstructure", "lags"}
    names = [name for name, _ in without]
    assert "range_position" in names
    assert not {"gap", "move_adjusted_lag2", "volume_velocity", "spread_bps"} & set(names)
    quoted = with_features(groups=["microstructure"], candle_columns=["volume", "bid_close", "ask_close"])
    configuration = configured(tmp_path / "b", monkeypatch, models=quoted)
    assert [name for name, _ in model_features(configuration, "move")] == views(configuration)["microstructure"]


def test_what_takes_other_instruments_is_there_where_they_are(tmp_path, monkeypatch):
    alone = configured(tmp_path / "a", monkeypatch, instruments=of_pairs("GBP_USD"))
    assert "cross" not in views(alone)
    # Bars of another length are known at other times: these two do not see each other.
    lengths = of_pairs("GBP_USD", "USD_JPY", USD_JPY={"granularity": "M30"})
    assert "cross" not in views(configured(tmp_path / "b", monkeypatch, instruments=lengths))
    two = configured(tmp_path / "c", monkeypatch)
    assert "basket_beta_120" in views(two)["cross"]
    assert "cross_rate_residual" not in views(two)["cross"]


def test_a_cross_rate_is_an_input_only_where_all_instruments_of_a_model_have_one(tmp_path, monkeypatch):
    pairs = of_pairs("EUR_USD", "GBP_USD", "EUR_GBP", "USD_JPY")
    triangle = with_features(groups=["cross"])
    triangle["models"]["closed"] = {**triangle["models"]["move"], "instruments": ["EUR_USD", "EUR_GBP"]}
    configuration = configured(tmp_path, monkeypatch, instruments=pairs, models=triangle)
    assert {symbol: "triangle" in has for symbol, has in supplied(configuration).items()} == {
        "EUR_USD": True,
        "GBP_USD": True,
        "EUR_GBP": True,
        "USD_JPY": False,
    }
    assert "cross_rate_residual" in views(configuration)["cross"]
    assert ("cross_rate_residual", "cross") not in model_features(configuration, "move")
    assert ("cross_rate_residual", "cross") in model_features(configuration, "closed")


def test_reference_files_bring_their_features(tmp_path, monkeypatch):
    files = {"reference": {"economic": "calendar.csv", "rates": None}}
    configuration = configured(tmp_path, monkeypatch, data=files)
    assert "minutes_to_release" in views(configuration)["economic"]
    assert "rates" not in views(configuration)
    schema = build_schemas(configuration)["gold/market_features"]
    assert schema.names[-len(views(configuration)["economic"]) :] == views(configuration)["economic"]


def test_every_column_of_every_table_is_described_and_there_once():
    for schema in SCHEMAS.values():
        assert len(set(schema.names)) == len(schema.names)
        assert all(column.description for column in schema.columns)
        assert set(schema.key) <= set(schema.names)
        assert schema.plot in schema.names


def test_labels_show_the_shortest_horizon_that_there_is(tmp_path, monkeypatch):
    label = {"kind": "direction", "horizon_minutes": 240}
    folder = write_config(tmp_path, models=changed(MODELS, models__move__label=label))
    schema = build_schemas(configuration_of(folder, monkeypatch))["gold/labels"]
    assert schema.plot == "forward_return_240m"
    for table in build_schemas(load_configuration()).values():
        assert table.plot in table.names
