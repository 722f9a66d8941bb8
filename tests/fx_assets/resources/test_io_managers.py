"""What an asset gets as an input: a reader or a frame, by its annotation; and records, wherever the lake is."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from fx_assets.errors import MissingData
from fx_assets.lake import Lake
from fx_assets.partitions import lookback
from fx_assets.resources.parquet_io import ParquetIOManager
from fx_assets.resources.record_io import RecordIOManager
from fx_assets.tables import TableReader
from tests.fx_assets.production import CALENDAR, CLOSES, SOURCE, closes, fill

KEY = "2021-02-03"
SESSIONS = dg.StaticPartitionsDefinition(CALENDAR)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    fill(made)
    return made


def given_to(annotation: type, lake: Lake, key: str = KEY):
    """What an asset gets that takes silver/closes with a session of lookback and one of look-ahead."""
    got = []

    def asset(closes) -> None:
        got.append(closes)

    asset.__annotations__["closes"] = annotation
    defined = dg.asset(partitions_def=SESSIONS, ins={"closes": lookback(SOURCE, 1, 1)})(asset)
    source = dg.AssetSpec(SOURCE.split("/"), partitions_def=SESSIONS, metadata={"dagster/io_manager_key": "parquet"})
    manager = ParquetIOManager(lake, {SOURCE: CLOSES})
    result = dg.materialize([defined, source], partition_key=key, resources={"parquet": manager}, raise_on_error=True)
    assert result.success
    return got[0]


def test_a_reader_reads_what_it_is_asked_for(lake):
    reader = given_to(TableReader, lake)
    assert reader.read([KEY])["time"].min() == closes("2021-02-02")["time"].min()
    assert len(reader.read([KEY])) == 3 * 48
    pd.testing.assert_frame_equal(reader.own([KEY]), closes(KEY))
    assert list(reader.own([KEY], ["close"]).columns) == ["close"]


def test_a_frame_holds_the_session_and_its_neighbours(lake):
    expected = pd.concat([closes(key) for key in ("2021-02-02", KEY, "2021-02-04")], ignore_index=True)
    pd.testing.assert_frame_equal(given_to(pd.DataFrame, lake), expected)


def test_a_neighbour_may_be_missing_and_the_own_session_not(lake):
    lake.path(SOURCE, "2021-02-04").unlink()
    assert len(given_to(pd.DataFrame, lake)) == 2 * 48
    with pytest.raises(dg.Failure, match="silver/closes: no file for session 2021-02-04") as caught:
        given_to(pd.DataFrame, lake, "2021-02-04")
    assert isinstance(caught.value.__cause__, MissingData)


def test_a_record_is_read_back_and_a_missing_one_is_named(tmp_path):
    manager = RecordIOManager(Lake(tmp_path / "lake"))

    @dg.asset(partitions_def=SESSIONS, io_manager_key="records")
    def verdict() -> dict:
        return {"passed": True, "figures": [1.5, None]}

    @dg.asset(partitions_def=SESSIONS, io_manager_key="records")
    def report(verdict: dict) -> dict:
        return {"of": verdict}

    resources = {"records": manager}
    assert dg.materialize([verdict, report], partition_key=KEY, resources=resources).success
    stored = tmp_path / "lake" / "models" / "report" / f"session={KEY}" / "record.json"
    assert (
        stored.read_text()
        == '{\n  "of": {\n    "passed": true,\n    "figures": [\n      1.5,\n      null\n    ]\n  }\n}'
    )
    with pytest.raises(dg.Failure, match="verdict: not made for session 2021-02-04"):
        dg.materialize([report, verdict], selection=[report], partition_key="2021-02-04", resources=resources)
