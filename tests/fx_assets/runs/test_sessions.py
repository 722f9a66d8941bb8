"""The sessions that commands choose from: those of the partitions that have begun by the data clock."""

from datetime import UTC, datetime

import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import ConfigError
from fx_assets.inputs import table_inputs
from fx_assets.partitions import fx_sessions
from fx_assets.runs.backfill.survey import chosen_tables, made_together
from fx_assets.runs.backfill.work import in_order
from fx_assets.runs.sessions import begun_sessions, chosen_sessions
from fx_assets.runs.steps import TABLES
from tests.fx_assets.small import INSTRUMENTS, changed, configuration_of, write_config

ALL_WEEK = {"instruments__BTC_USD": {"typical_spread": 10, "calendar": "always"}}


@pytest.mark.parametrize("more", [{}, ALL_WEEK])
def test_they_are_the_partitions(tmp_path, monkeypatch, more):
    configuration = configuration_of(write_config(tmp_path, changed(INSTRUMENTS, **more)), monkeypatch)
    now = datetime(2021, 4, 2, 21, tzinfo=UTC)
    assert begun_sessions(configuration, now) == list(fx_sessions(configuration).get_partition_keys())


def test_without_an_end_they_are_the_partitions_up_to_now(tmp_path, monkeypatch):
    configuration = configuration_of(write_config(tmp_path, changed(INSTRUMENTS, sessions__end=None)), monkeypatch)
    keys = list(fx_sessions(configuration).get_partition_keys())
    begun = begun_sessions(configuration, datetime.now(UTC))
    # At a weekend Dagster's last key is the session to come.
    assert begun in (keys, keys[:-1])


@pytest.mark.parametrize(
    ("now", "last"),
    [
        (datetime(2021, 3, 3, 21, 59, tzinfo=UTC), "2021-03-02"),
        (datetime(2021, 3, 3, 22, 0, tzinfo=UTC), "2021-03-03"),
        (datetime(2021, 3, 6, 12, 0, tzinfo=UTC), "2021-03-04"),  # Saturday
        (datetime(2021, 3, 14, 21, 0, tzinfo=UTC), "2021-03-14"),  # Sunday, an hour earlier in UTC from now on
        (datetime(2021, 3, 14, 20, 59, tzinfo=UTC), "2021-03-11"),
    ],
)
def test_the_running_session_is_the_last(tmp_path, monkeypatch, now, last):
    configuration = configuration_of(write_config(tmp_path), monkeypatch)
    assert begun_sessions(configuration, now)[-1] == last


def test_before_the_first_session_there_is_none(tmp_path, monkeypatch):
    configuration = configuration_of(write_config(tmp_path), monkeypatch)
    assert begun_sessions(configuration, datetime(2020, 9, 30, tzinfo=UTC)) == []
    with pytest.raises(ConfigError, match=r"sessions.start lies in the future"):
        chosen_sessions([])


def test_tables_are_chosen_by_name_or_layer():
    tables = in_order(table_inputs(load_configuration()))
    assert sorted(tables) == sorted(TABLES)
    assert chosen_tables([], tables) == tables
    assert chosen_tables(["silver", "gold/labels"], tables) == [
        t for t in tables if t.startswith("silver/") or t == "gold/labels"
    ]
    with pytest.raises(ConfigError, match="'gold/label' is neither a table nor a layer"):
        chosen_tables(["gold/label"], tables)


def test_tables_made_of_the_same_fetches_are_made_together():
    steps = made_together(table_inputs(load_configuration()))
    assert all(len({table.split("/")[0] for table in step}) == 1 for step in steps)
    assert any("silver/candles" in step for step in steps)
