"""fx import: into bronze and back; a file with one bad row changes nothing."""

import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.silver.clean import valid_candles
from tests.fx_assets.cli.conftest import files_below, write_csv

GIVEN = ("--instrument", "GBP_USD", "--granularity", "H1")


def test_what_is_imported_comes_back_from_bronze_bit_by_bit(call, home, candles, tmp_path):
    part = candles.head(100)
    code, said = call("import", write_csv(part, tmp_path / "mine.csv"), *GIVEN)
    assert code == 0, said
    sessions = ["2020-09-30", "2020-10-01", "2020-10-04", "2020-10-05", "2020-10-06"]
    assert said.splitlines() == [
        f"{tmp_path / 'mine.csv'}: 100 candles of GBP_USD in 5 sessions imported",
        "next:  fx backfill --from 2020-09-30 --to 2020-10-06",
    ]
    back = Bronze(home / "lake").read(CANDLES, sessions, ["GBP_USD"])
    columns = ["time", "open", "high", "low", "close", "volume"]
    pd.testing.assert_frame_equal(
        back[columns], part[columns].reset_index(drop=True), check_dtype=False, check_exact=True
    )
    assert valid_candles(back).all()


def test_one_bad_row_and_nothing_is_written(call, home, candles, tmp_path):
    call("import", write_csv(candles.head(48), tmp_path / "good.csv"), *GIVEN)
    before = files_below(home)
    assert before
    bad = candles.head(1000).copy()
    bad.loc[bad.index[999], "high"] = 0.5
    code, said = call("import", write_csv(bad, tmp_path / "bad.csv"), *GIVEN)
    assert code == 1
    assert "bad.csv: row 1001: high is below low" in said
    assert "Mend or remove the row and try again." in said
    assert files_below(home) == before


def test_a_second_import_adds_files_and_removes_none(call, home, candles, tmp_path):
    source = write_csv(candles.head(48), tmp_path / "a.csv")
    call("import", source, *GIVEN)
    before = files_below(home)
    call("import", source, *GIVEN)
    after = files_below(home)
    assert len(after) == 2 * len(before)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--instrument", "EUR_NOK", "--granularity", "H1"), "no instrument 'EUR_NOK'; it has GBP_USD"),
        (("--instrument", "GBP_USD", "--granularity", "M5"), "GBP_USD.granularity is H1, the file's is M5"),
        (("--instrument", "GBP_USD", "--granularity", "H7"), "'H7' is not one of M1 M5 M15 M30 H1 H4 D"),
    ],
)
def test_what_the_configuration_does_not_have_is_refused(call, home, candles, tmp_path, arguments, told):
    code, said = call("import", write_csv(candles.head(24), tmp_path / "a.csv"), *arguments)
    assert (code, told in said) == (1, True), said
    assert not (home / "lake").exists()


@pytest.mark.parametrize(
    ("shift", "told"), [(-400, "sessions.start there to cover"), (800, "sessions.start and sessions.end there")]
)
def test_sessions_outside_the_configured_range_are_refused(call, home, candles, tmp_path, shift, told):
    moved = candles.head(24).assign(time=candles["time"].head(24) + pd.Timedelta(days=shift))
    code, said = call("import", write_csv(moved, tmp_path / "a.csv"), *GIVEN)
    assert code == 1
    assert "instruments.yaml has 2020-09-30 to 2022-03-03" in said
    assert told in said
    assert not (home / "lake").exists()
