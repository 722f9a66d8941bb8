"""fx changes, fx archive, fx rollback-data: as a user calls them, on a home with imported history."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.sessions import session_keys
from tests.fx_assets.cli.conftest import files_below, write_csv
from tests.fx_assets.small import write_config

GIVEN = ("--instrument", "GBP_USD", "--granularity", "H1")
SESSIONS = ("--from", "2020-10-01", "--to", "2020-11-19")


@pytest.fixture
def imported(call, home, candles, tmp_path, monkeypatch) -> pd.DataFrame:
    """A home whose one instrument has imported history: 1,200 hours from 2020-09-30 on."""
    instruments = {
        "sessions": {"start": "2020-09-30", "end": "2021-03-31"},
        "instruments": {"GBP_USD": {"typical_spread": 0.00012, "sources": ["import"]}},
    }
    archive = {"archive": {"url": str(tmp_path / "archive"), "keep_months": 1, "remove_local": True}}
    write_config(home / "config", instruments, data=archive)
    code, said = call("import", write_csv(candles, tmp_path / "first.csv"), *GIVEN)
    assert code == 0, said
    return candles


def corrected(candles: pd.DataFrame) -> pd.DataFrame:
    """The candles of three sessions, one with another close."""
    part = candles.iloc[240:312].copy()
    part.loc[part.index[30], "close"] = part.loc[part.index[30], "low"]
    return part


def test_changes_shows_what_was_corrected(call, imported, tmp_path):
    assert "no candle of 36 fetched sessions came late or was corrected" in call("changes", *SESSIONS)[1]
    call("import", write_csv(corrected(imported), tmp_path / "second.csv"), *GIVEN)
    code, said = call("changes", *SESSIONS)
    assert (code, said.count("close"), "1 changes of 1 candles" in said) == (0, 1, True), said
    assert "import:second.csv" in said
    assert "no candle of" in call("changes", "--from", "2020-11-02", "--to", "2020-11-19")[1]
    code, said = call("changes", *SESSIONS, "--instrument", "EUR_NOK")
    assert (code, "--instrument: 'EUR_NOK' is not in instruments.yaml, which has GBP_USD." in said) == (1, True)


def test_archive_removes_and_restores(call, home, imported):
    before = files_below(home / "lake" / "bronze" / "candles")
    code, said = call("archive", "status")
    assert (code, "to be archived" in said) == (0, True), said
    code, said = call("archive", "run")
    assert (code, "months before 2021-03 are in the archive" in said) == (0, True), said
    assert "bronze/candles 2020-10: 21 files packed, 21 removed here" in said
    assert files_below(home / "lake" / "bronze" / "candles") == {}
    assert "removed here: fx archive restore --month 2020-10" in call("archive", "status")[1]
    code, said = call("changes", *SESSIONS)
    assert (code, "`fx archive restore --month 2020-10`" in said) == (1, True), said
    assert call("archive", "restore", "--month", "2020-13")[0] == 1
    assert "2020-10: 21 files restored" in call("archive", "restore", "--month", "2020-10")[1]
    code, said = call("archive", "restore")
    assert (code, "2020-10" in said, "2020-11: 22 files restored" in said) == (0, False, True), said
    assert files_below(home / "lake" / "bronze" / "candles") == before
    assert "nothing to restore" in call("archive", "restore")[1]


def test_without_an_archive_it_says_how_to_have_one(call, home):
    for command in ("status", "run", "restore"):
        code, said = call("archive", command)
        assert (code, "data.yaml: archive.url: not set" in said) == (1, True)


def test_an_import_without_volume_is_warned_about(call, home, candles, tmp_path):
    code, said = call("import", write_csv(candles.head(48).drop(columns="volume"), tmp_path / "bare.csv"), *GIVEN)
    assert code == 0
    assert "bare.csv: there is no volume. Volume features are among a model's inputs" in said


def silver(home: Path) -> dict[str, bytes]:
    return files_below(home / "lake" / "silver" / "candles")


@pytest.mark.slow(55)
def test_rolling_back_makes_the_very_bytes_of_that_time(call, home, imported, tmp_path):
    made = ("backfill", "--from", "2020-10-11", "--to", "2020-10-19", "--tables", "silver/candles")
    assert call(*made)[0] == 0
    first = silver(home)
    moment = datetime.now(UTC).isoformat()
    assert "nothing was fetched after" in call("rollback-data", "--as-of", moment)[1]
    time.sleep(0.01)
    call("import", write_csv(corrected(imported), tmp_path / "second.csv"), *GIVEN)
    assert call(*made)[0] == 0
    second = silver(home)
    assert second.keys() == first.keys()
    assert second != first
    bronze = files_below(home / "lake" / "bronze")
    code, said = call("rollback-data", "--as-of", moment)
    assert (code, "are as of" in said) == (0, True), said
    assert silver(home) == first
    assert files_below(home / "lake" / "bronze") == bronze
    assert call(*made)[0] == 0
    assert silver(home) == second, "a backfill takes every fetch again"
    assert len(Bronze(home / "lake").files(CANDLES, "2020-10-14", ["GBP_USD"])) == 2


@pytest.mark.slow
def test_rolling_back_leaves_out_what_was_blocked_and_makes_the_rest(call, home, imported, tmp_path):
    """A session that was bad all along must not keep the others from being rolled back."""
    flat = imported.copy()
    bad = session_keys(flat["time"]) == "2020-10-13"
    flat.loc[bad, ["open", "high", "low", "close"]] = 1.3
    call("import", write_csv(flat, tmp_path / "flat.csv"), *GIVEN)
    made = ("backfill", "--from", "2020-10-11", "--to", "2020-10-19", "--tables", "silver/technical")
    assert call(*made)[0] == 1
    first = files_below(home / "lake" / "silver" / "technical")
    assert not any("2020-10-13" in path for path in first)
    moment = datetime.now(UTC).isoformat()
    time.sleep(0.01)
    call("import", write_csv(corrected(imported), tmp_path / "second.csv"), *GIVEN)
    assert call(*made)[0] == 0
    code, said = call("rollback-data", "--as-of", moment, "--from", "2020-10-11", "--to", "2020-10-19")
    assert (code, "what is made of them left as it was: 2020-10-13 (fx quality)" in said) == (0, True), said
    after = files_below(home / "lake" / "silver" / "technical")
    assert {path: after[path] for path in first} == first


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--as-of", "yesterday"), "--as-of: 'yesterday' is not an ISO 8601 time stamp"),
        (("--as-of", "2022-03-04T22:00:00"), "has no UTC offset"),
        (("--as-of", "2022-03-04T22:00:00Z"), "silver/candles: no session from the start to the end was made"),
    ],
)
def test_what_cannot_be_rolled_back_is_told(call, home, arguments, told):
    code, said = call("rollback-data", *arguments)
    assert (code, told in said) == (1, True), said
