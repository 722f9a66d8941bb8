"""The disk estimate of a backfill against real partition files, and how many processes it is worth."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.partition_file import arrow_table, encode
from fx_assets.runs.backfill.estimate import LONG_S, PROCESS_BYTES, Estimator, processes_for
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


@pytest.mark.parametrize(
    ("seconds", "cores", "room", "expected"),
    [
        (LONG_S, 8, 8, 1),  # its start would take longer than it saves
        (LONG_S + 1, 8, 8, 2),
        (LONG_S + 1, 1, 8, 1),
        (LONG_S + 1, 8, 1.9, 1),
        (LONG_S + 1, 8, 0, 1),
    ],
)
def test_a_second_process_needs_time_that_it_saves_a_core_and_memory(seconds, cores, room, expected):
    assert processes_for(seconds, cores, int(room * PROCESS_BYTES)) == expected
