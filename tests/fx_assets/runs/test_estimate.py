"""The disk estimate of a backfill against real partition files."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.partition_file import arrow_table, encode
from fx_assets.runs.backfill.estimate import Estimator
from fx_assets.schemas import UTC_TIME, Column, build_schemas

CONFIGURATION = load_configuration()
TABLES = build_schemas(CONFIGURATION)
ROWS = sum(24 * 60 // i.minutes for i in CONFIGURATION.instruments.instruments.values())


def incompressible(column: Column) -> np.ndarray:
    if column.dtype == UTC_TIME:
        return np.asarray(pd.date_range("2021-01-04", periods=ROWS, freq="min", unit="us"))
    if column.dtype == "float64":
        return np.random.default_rng(1).random(ROWS)
    return np.arange(ROWS) if column.dtype == "int64" else np.array(["EUR_USD"] * ROWS, dtype=object)


@pytest.mark.parametrize("table", TABLES)
def test_a_full_partition_is_not_larger_than_the_estimate_and_not_much_smaller(table):
    columns = TABLES[table].columns
    size = len(encode(arrow_table({column.name: incompressible(column) for column in columns})))
    estimate = Estimator({}, CONFIGURATION).bytes(table)
    assert 0.6 * estimate < size <= estimate
