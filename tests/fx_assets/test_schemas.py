"""Schemas: the order, type and bounds of a table, and a hash that sees one bit."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import DataError
from fx_assets.schemas import build_schemas, content_hash, model_features

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


def test_model_features_are_columns_of_gold_in_one_order():
    names = [name for name, _ in model_features()]
    assert len(set(names)) == len(names)
    assert set(names) == set(SCHEMAS["gold/features"].names) - {"instrument", "time", "available_at"}
    assert {view for _, view in model_features()} == {"market_features", "news_signals"}


def test_every_column_of_every_table_is_described_and_there_once():
    for schema in SCHEMAS.values():
        assert len(set(schema.names)) == len(schema.names)
        assert all(column.description for column in schema.columns)
        assert set(schema.key) <= set(schema.names)
        assert schema.plot in schema.names
