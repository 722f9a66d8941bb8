"""What a file keeps of the columns that it is made of."""

import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from fx_assets.partition_file import arrow_table, encode, encode_frame


def test_only_what_is_no_number_is_missing():
    columns = {
        "whole": np.array([1.0, -2.0, 3.0]),
        "gaps": np.array([np.nan, 1.0, np.nan]),
        "odd": np.array([np.inf, -np.inf, 0.0]),  # their sum is no number, and they are
        "none": np.array([], dtype=float),
    }
    for name, values in columns.items():
        told = arrow_table({name: values})[name]
        assert told.null_count == np.isnan(values).sum()
        np.testing.assert_array_equal(told.to_numpy(), values)


def test_a_frame_comes_back_with_the_types_it_had():
    moments = pd.DatetimeIndex(["2020-01-01", "NaT"])
    frame = pd.DataFrame(
        {
            "figure": [1.5, np.nan],
            "narrow": np.array([1.5, np.nan], dtype="float32"),
            "count": [1, 2],
            "flag": [True, False],
            "text": ["a", None],
            "label": pd.Categorical(["x", "y"]),
            "list": [[1, 2], [3]],
            "moment": moments.tz_localize("UTC"),
            "local": moments.as_unit("us"),
        }
    )
    back = pq.read_table(io.BytesIO(encode_frame(frame))).to_pandas()
    pd.testing.assert_frame_equal(back, frame)


def test_what_stays_the_same_takes_a_fraction_and_comes_back_to_the_bit():
    hours = np.repeat(np.random.default_rng(1).random(24), 60)
    hours[:7] = np.nan
    table = arrow_table({"hour": hours, "figure": np.random.default_rng(2).random(1440)})
    plain, steady = encode(table), encode(table, steady={"hour", "of_another_table"})
    assert len(plain) - len(steady) > 0.8 * hours.nbytes
    assert pq.read_table(io.BytesIO(steady)).equals(pq.read_table(io.BytesIO(plain)))
    figure = pq.ParquetFile(io.BytesIO(steady)).metadata.row_group(0).column(1)
    assert (figure.path_in_schema, figure.compression) == ("figure", "UNCOMPRESSED")
