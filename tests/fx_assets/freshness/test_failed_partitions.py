"""The standing check: sessions left failed or missing are seen, and a whole table is left in peace."""

from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.freshness.failed_partitions import CHECK, JOB, Unmade, holes, unmade
from fx_assets.lake import Lake
from tests.fx_assets.small import BRONZE, INSTRUMENTS, TABLES, Platform, changed, configuration_of, write_config

DAYS = ["2020-10-01", "2020-10-04", "2020-10-05", "2020-10-06", "2020-10-07", "2020-10-08"]


def test_holes_lie_between_what_is_made():
    assert holes([], DAYS) == ()
    assert holes(DAYS[1:3], DAYS) == ()
    assert holes([DAYS[0], DAYS[3], DAYS[5]], DAYS) == (DAYS[1], DAYS[2], DAYS[4])


def test_bronze_is_held_against_the_calendar_instrument_by_instrument(tmp_path, monkeypatch):
    configuration = configuration_of(write_config(tmp_path / "config"), monkeypatch)
    bronze = Bronze(tmp_path / "lake")
    rows = pd.DataFrame({"time": pd.to_datetime(["2020-10-02T01:00Z"]), "open": [1.0]})
    for instrument, sessions in {"GBP_USD": DAYS, "USD_JPY": [DAYS[0], DAYS[2]], "XAU_USD": [DAYS[0], DAYS[5]]}.items():
        for key in sessions:
            bronze.append(CANDLES, instrument, key, "sample", rows, datetime.now(UTC))
    found = {entry.table: entry for entry in unmade(configuration, Lake(tmp_path / "lake"), bronze, DAYS)}
    assert found[CANDLES].holes == (DAYS[1],), "XAU_USD is not in instruments.yaml any more"
    assert found[CANDLES].remedy == f"fx backfill --from {DAYS[1]} --to {DAYS[1]}"
    assert found["gold/labels"] == Unmade("gold/labels", (), ())
    assert found["gold/labels"].remedy == ""
    assert set(found) == {*BRONZE, *TABLES}


@pytest.fixture
def platform(tmp_path, monkeypatch):
    instruments = changed(INSTRUMENTS, sessions__end=DAYS[-1])
    configuration = configuration_of(write_config(tmp_path / "config", instruments), monkeypatch)
    monkeypatch.setenv("FX_CLOCK", "2020-10-09T21:00:00Z")
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield Platform(tmp_path / "home", configuration, instance)


def checked(platform: Platform, *tables: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The standing check, run as its schedule runs it."""
    job = platform.definitions.resolve_job_def(JOB)
    if tables:
        keys = {dg.AssetCheckKey(dg.AssetKey(table.split("/")), CHECK) for table in tables}
        job = job.get_subset(asset_selection=set(), asset_check_selection=keys)
    result = job.execute_in_process(
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}, instance=platform.instance
    )
    return {"/".join(c.asset_key.path): c for c in result.get_asset_check_evaluations()}


def test_failed_and_missing_sessions_are_reported_by_table(platform):
    platform.run([*BRONZE, "silver/candles"], DAYS[0], DAYS[2])
    platform.run([*BRONZE, "silver/candles"], DAYS[4])
    # Its own input is missing: the run fails.
    result = platform.run(["silver/technical"], DAYS[3], DAYS[4], must=False)
    assert not result.success
    found = checked(platform)
    assert set(found) == {*BRONZE, *TABLES}
    for table in (*BRONZE, "silver/candles"):
        assert not found[table].passed
        assert found[table].metadata["missing"].value == DAYS[3]
        assert found[table].metadata["failed"].value == "none"
        assert found[table].metadata["remedy"].value == f"fx backfill --from {DAYS[3]} --to {DAYS[3]}"
    technical = found["silver/technical"]
    assert not technical.passed
    assert technical.metadata["failed"].value == f"{DAYS[3]}, {DAYS[4]}"
    assert technical.metadata["sessions"].value == 2
    assert found["gold/labels"].passed
    # Once they are made, it passes.
    platform.run([*BRONZE, "silver/candles", "silver/technical"], DAYS[3], DAYS[4])
    assert all(check.passed for check in checked(platform).values())


def test_a_part_of_the_tables_can_be_asked_for(platform):
    assert set(checked(platform, "gold/labels", "bronze/news")) == {"gold/labels", "bronze/news"}


def test_the_schedule_runs_by_itself(platform):
    schedule = platform.definitions.resolve_schedule_def(CHECK)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == JOB
