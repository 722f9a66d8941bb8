"""Which rows a session is judged by: its own, and those of as few sessions before it as make the least sample."""

import pandas as pd
import pytest

from fx_assets.lake import Lake
from fx_monitoring.drift.pool import Pool, as_scored, pooled
from tests.fx_monitoring.drift.world import NAMES, market, predictions

MODEL, ROWS = "move_60m", 96
SESSIONS = ("2022-02-24", "2022-02-27", "2022-02-28", "2022-03-01", "2022-03-02")  # with a weekend


@pytest.fixture
def lake(tmp_path) -> Lake:
    made = Lake(tmp_path)
    made.write("monitoring/predictions", {s: predictions(market(n, ROWS), s) for n, s in enumerate(SESSIONS)})
    return made


def chosen(lake: Lake, rows: int = ROWS, version: str = "1", **asked) -> Pool:
    session = SESSIONS[-1]
    own = as_scored(predictions(market(9, rows), session, version), NAMES)
    wanted = {"model": MODEL, "version": version, "min_rows": 250, "most": 10, "all_week": False, **asked}
    return pooled(lake, own, NAMES, session, **wanted)


def test_as_few_sessions_as_make_the_least_sample_in_time_order(lake):
    found = chosen(lake)
    assert found.sessions == SESSIONS[2:]
    assert found.since == SESSIONS[2]
    assert found.rows["timestamp"].is_monotonic_increasing
    assert len(found.rows) == 3 * ROWS


def test_a_session_of_enough_rows_is_judged_alone(lake):
    found = chosen(lake, rows=250)
    assert (found.sessions, found.since, found.words) == (SESSIONS[-1:], None, "")


def test_no_more_sessions_are_looked_through_than_allowed(lake):
    assert chosen(lake, most=1).sessions == SESSIONS[-1:]
    assert chosen(lake, most=2).sessions == SESSIONS[-2:]
    assert chosen(lake, min_rows=10_000).sessions == SESSIONS


def test_sessions_of_a_broken_feed_and_rows_of_another_version_or_model_are_left_out(lake):
    assert chosen(lake, broken={SESSIONS[3]}).sessions == (SESSIONS[1], SESSIONS[2], SESSIONS[4])
    assert chosen(lake, version="2").sessions == SESSIONS[-1:]
    assert chosen(lake, model="another").sessions == SESSIONS[-1:]


def test_a_client_that_asks_a_hundred_times_brings_no_more_rows(lake):
    once = predictions(market(3, ROWS), SESSIONS[3])
    lake.write("monitoring/predictions", {SESSIONS[3]: pd.concat([once] * 9, ignore_index=True)})
    assert chosen(lake).sessions == SESSIONS[2:]


def test_a_table_that_was_made_without_an_input_is_left_out(lake):
    without = predictions(market(3, ROWS), SESSIONS[3]).drop(columns="f_atr_14")
    lake.write("monitoring/predictions", {SESSIONS[3]: without})
    assert chosen(lake).sessions == (SESSIONS[1], SESSIONS[2], SESSIONS[4])
