"""Reference files beside the candles: copied to bronze, features of gold, and outdated just where a change reaches."""

from collections.abc import Mapping

import dagster as dg
import pandas as pd
import pytest

from fx_assets.features import feature_names
from fx_assets.inputs import SILVER_GROUPS
from fx_assets.sessions import session_keys
from fx_assets.tables import Tables
from tests.fx_assets.small import BRONZE, GOLD, INSTRUMENTS, SILVER, Platform, changed, configuration_of, write_config

FIRST, LAST = "2020-11-29", "2020-12-17"
FILES = ("bronze/economic", "bronze/rates")
CALENDAR = """time,currency,event,impact,actual,forecast
2020-12-04T13:30:00Z,USD,Payrolls,3,245,460
2020-12-10T13:30:00Z,USD,CPI,2,1.2,1.1
"""
RATES = """available_at,currency,rate
2020-03-15T21:00:00Z,USD,0.25
2020-03-19T12:00:00Z,GBP,0.1
2016-02-01T00:00:00Z,JPY,-0.1
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    """Two instruments with both files; everything made."""
    folder = tmp_path_factory.mktemp("files")
    paths = {"economic": folder / "calendar.csv", "rates": folder / "rates.csv"}
    paths["economic"].write_text(CALENDAR)
    paths["rates"].write_text(RATES)
    told = changed(INSTRUMENTS, sessions={"start": FIRST, "end": LAST})
    data = {"reference": {name: str(path) for name, path in paths.items()}}
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        configuration = configuration_of(write_config(tmp_path_factory.mktemp("config"), told, data=data), patch)
        made = Platform(tmp_path_factory.mktemp("home"), configuration, instance)
        made.run([*BRONZE, *SILVER], FIRST, LAST)
        with pytest.raises(dg.Failure, match=r"bronze/economic: the file that data.yaml names was not copied yet"):
            made.run(["gold/market_features"], FIRST, LAST)
        made.run(FILES)
        made.run(GOLD, FIRST, LAST)
        yield made, paths


def states(platform: Platform, table: str) -> Mapping[str, str]:
    tables = Tables.of(platform.configuration, platform.lake)
    return dict(tables.lineage(platform.bronze).states(table, tables.keys()))


def test_the_features_of_the_files_are_columns_of_gold(platform):
    made, _ = platform
    market, whole = made.lake.table("gold/market_features"), made.lake.table("gold/features")
    columns = [*feature_names("economic"), *feature_names("rates")]
    assert list(market.columns[-len(columns) :]) == columns
    assert whole[columns].notna().all(axis=None)
    for name in columns:
        joined = whole.merge(market, on=["instrument", "time"], suffixes=("", "_market"))
        assert (joined[name] == joined[f"{name}_market"]).all()
    payrolls = pd.Timestamp("2020-12-04T13:30Z")
    before = whole[(whole["available_at"] == payrolls - pd.Timedelta("90min")) & (whole["instrument"] == "GBP_USD")]
    hours = whole[(whole["instrument"] == "GBP_USD") & (whole["available_at"] == pd.Timestamp("2020-12-04T12:00Z"))]
    assert (before["minutes_to_release"].tolist() or hours["minutes_to_release"].tolist()) == [90.0]
    assert whole.loc[whole["instrument"] == "GBP_USD", "rate_differential"].round(9).eq(-0.15).all()
    assert whole.loc[whole["instrument"] == "USD_JPY", "rate_differential"].round(9).eq(0.35).all()


def test_a_file_that_has_not_changed_is_not_copied_again(platform):
    made, _ = platform
    had = {table: made.bronze.store.list(table) for table in FILES}
    made.run(FILES)
    assert {table: made.bronze.store.list(table) for table in FILES} == had
    assert all(len(paths) == 1 for paths in had.values())
    assert set(states(made, "gold/market_features").values()) == {"current"}


def test_a_bad_file_fails_its_copy_and_the_one_before_stays_in_use(platform):
    made, paths = platform
    had = made.bronze.store.list("bronze/rates")
    paths["rates"].write_text(RATES.replace("-0.1", "minus"))
    with pytest.raises(dg.Failure, match=r"data.yaml: reference.rates: row 4: rate 'minus'"):
        made.run(["bronze/rates"])
    assert made.bronze.store.list("bronze/rates") == had
    paths["rates"].write_text(RATES)


def test_a_release_that_is_added_outdates_the_sessions_it_reaches_and_single_ones_equal_a_range(platform):
    made, paths = platform
    paths["economic"].write_text(CALENDAR + "2020-12-16T19:00:00Z,USD,FOMC,3,,\n")
    made.run(["bronze/economic"])
    outdated = [key for key, state in states(made, "gold/market_features").items() if state == "outdated"]
    reached = pd.DatetimeIndex([pd.Timestamp("2020-12-16T19:00Z") - pd.Timedelta(days=8)])
    assert outdated == [key for key in made.lake.keys("gold/market_features") if key >= session_keys(reached)[0]]
    assert set(states(made, "silver/technical").values()) == {"current"}
    before = made.lake.table("gold/market_features")
    made.run(["gold/market_features"], outdated[0], outdated[-1])
    assert set(states(made, "gold/market_features").values()) == {"current"}
    after = made.lake.table("gold/market_features")
    differs = (before.fillna(-1.0) != after.fillna(-1.0)).any(axis=1)
    changed_sessions = sorted(set(session_keys(after.loc[differs, "time"])))
    assert changed_sessions
    assert set(changed_sessions) <= set(outdated)
    range_made = {key: made.lake.path("gold/market_features", key).read_bytes() for key in outdated}
    for key in outdated[::3]:
        made.run(["gold/market_features"], key)
        assert made.lake.path("gold/market_features", key).read_bytes() == range_made[key]


def test_silver_is_not_made_of_the_files(platform):
    made, _ = platform
    for group in SILVER_GROUPS:
        assert not set(feature_names("economic")) & set(made.lake.table(f"silver/{group}").columns)
