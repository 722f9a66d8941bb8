"""The shared partitions: where they begin and end, and which sessions a lookback names."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.definitions import build_definitions
from fx_assets.partitions import fx_sessions, lookback, with_neighbours
from fx_assets.sessions import running_session
from fx_monitoring.definitions import build_definitions as monitoring_definitions
from fx_serving.client import clock
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

LATER = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def sessions_of(tmp_path, monkeypatch):
    def make(**paths):
        # A folder of its own each time: files written in the same instant count as unchanged.
        folder = write_config(tmp_path / str(len(list(tmp_path.iterdir()))), changed(INSTRUMENTS, **paths))
        return fx_sessions(configuration_of(folder, monkeypatch))

    return make


@pytest.mark.parametrize("end", ["2021-03-29", "2021-04-01", "2021-04-04", "2021-03-11", "2021-03-14"])
def test_the_last_session_is_the_configured_one(sessions_of, end):
    assert sessions_of(sessions__end=end).get_partition_keys(current_time=LATER)[-1] == end


def test_an_end_at_the_weekend_means_the_thursday_before(sessions_of):
    assert sessions_of(sessions__end="2021-04-03").get_partition_keys(current_time=LATER)[-1] == "2021-04-01"


def test_without_an_end_the_running_session_is_a_key(sessions_of):
    partitions = sessions_of(sessions={"start": "2021-03-01"})
    running = datetime(2021, 3, 10, 3, tzinfo=UTC)  # ten in the evening of the ninth in New York
    assert partitions.get_partition_keys(current_time=running)[-1] == "2021-03-09"
    saturday = datetime(2021, 3, 13, 12, tzinfo=UTC)
    assert partitions.get_partition_keys(current_time=saturday)[-1] == "2021-03-14"


def test_weekends_are_sessions_only_where_something_trades_then(sessions_of):
    span = {"start": "2021-03-01", "end": "2021-03-14"}
    assert len(sessions_of(sessions=span).get_partition_keys()) == 10
    always = sessions_of(sessions=span, instruments__BTC_USD={"typical_spread": 20, "calendar": "always"})
    assert len(always.get_partition_keys()) == 14


def test_lookback_counts_sessions_not_days():
    every = list(fx_sessions(load_configuration()).get_partition_keys())
    made = lookback("silver/candles", 2, 1)
    around = ["2021-03-03", "2021-03-04", "2021-03-07", "2021-03-08"]
    assert with_neighbours(["2021-03-07"], every, made.metadata or {}) == around
    assert with_neighbours(["2021-03-07", "2021-03-08"], every, made.metadata or {}) == [*around, "2021-03-09"]
    assert with_neighbours([every[0]], every, made.metadata or {}) == every[:2]
    assert with_neighbours([every[-1]], every, made.metadata or {}) == every[-3:]
    assert with_neighbours(["2021-03-07"], every, {}) == ["2021-03-07"]


def test_edges_go_from_session_to_session():
    """A backfill of three sessions must not ask for the later ones whose lookback holds them."""
    graph = build_definitions().get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        for parent in node.parent_keys:
            if node.partitions_def is not None and graph.get(parent).partitions_def is not None:
                mapping = graph.get_partition_mapping(key, parent)
                assert mapping == dg.TimeWindowPartitionMapping(), (key, parent)


def test_under_a_replay_clock_the_keys_follow_the_replay_and_not_the_wall_clock(sessions_of, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2022-01-12T15:00:00Z@2026-11-21T10:00:00Z")
    monkeypatch.setattr(clock, "now", lambda: datetime(2022, 1, 12, 15, tzinfo=UTC))
    partitions = sessions_of(sessions={"start": "2021-12-30"})
    keys = list(partitions.get_partition_keys())
    assert keys[-1] == "2022-01-25"  # two weeks ahead, so that sessions roll over while it runs
    assert {"2022-01-11", "2022-01-12"} <= set(keys)


def test_the_monitoring_location_has_the_same_keys(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2022-01-12T15:00:00Z")
    folder = write_config(tmp_path / "config", changed(INSTRUMENTS, sessions={"start": "2021-12-30"}))
    configuration = configuration_of(folder, monkeypatch)
    graph = monitoring_definitions(configuration, tmp_path).get_repository_def().asset_graph
    partitions = graph.get(dg.AssetKey("predictions")).partitions_def
    assert partitions is not None
    assert partitions.get_partition_keys()[-1] == "2022-01-25"


def test_a_configured_end_wins_over_the_replay_clock(sessions_of, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "2022-01-12T15:00:00Z")
    assert sessions_of(sessions__end="2021-04-01").get_partition_keys(current_time=LATER)[-1] == "2021-04-01"


def test_a_replay_of_the_last_days_ends_where_the_wall_clock_does(sessions_of, monkeypatch):
    now = datetime.now(UTC)
    monkeypatch.setenv("FX_CLOCK", (now - timedelta(days=5)).isoformat())
    partitions = sessions_of(sessions={"start": "2021-12-30"})
    assert partitions.get_partition_keys()[-1] == running_session(now)
