"""The nightly close: what it asks for when candles were corrected or a partition is missing, and when it rests."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.automation.nightly import ROW, Block, blocks
from fx_assets.automation.table import SESSION
from fx_assets.bronze.files import CANDLES
from tests.fx_assets.small import BRONZE, INSTRUMENTS, TABLES, Platform, changed, configuration_of, write_config

TICK = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)
# Sessions that have ended by the evening of Thursday, 11 March 2021.
MADE = ("2021-03-07", "2021-03-10")
THURSDAY = datetime(2021, 3, 11, 23, 30, tzinfo=UTC)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.booleans())
def test_neighbours_are_one_block_and_all_that_is_due_is_in_one(due, again):
    keys = [f"2021-03-{number + 1:02d}" for number in range(len(due))]
    found = blocks(list(zip(keys, due, strict=True)), keys[-1] if again else None)
    covered = [key for block in found for key in keys if block.first <= key <= block.last]
    wanted = [key for key, is_due in zip(keys, due, strict=True) if is_due or (again and key == keys[-1])]
    assert covered == wanted
    assert [block for block in found if block.again] == [block for block in found if again and block.last == keys[-1]]
    for one, other in pairwise(found):
        assert keys.index(other.first) > keys.index(one.last) + 1


@pytest.fixture(scope="module")
def night(tmp_path_factory) -> Iterator[tuple[Platform, pytest.MonkeyPatch]]:
    """Four sessions made, by the data clock on the evening after the last."""
    home = tmp_path_factory.mktemp("night")
    (home / "dagster").mkdir()
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.local_temp(str(home / "dagster")) as instance:
        patch.setenv("FX_CLOCK", f"{THURSDAY.isoformat()}@{datetime.now(UTC).isoformat()}")
        instruments = changed(INSTRUMENTS, sessions={"start": "2021-03-07"}, news={})
        del instruments["instruments"]["USD_JPY"]
        platform = Platform(home, configuration_of(write_config(home / "config", instruments), patch), instance)
        platform.run([*BRONZE, *TABLES], *MADE)
        yield platform, patch


def ask(night: tuple[Platform, pytest.MonkeyPatch], moment: datetime = THURSDAY) -> tuple[list[dg.RunRequest], str]:
    platform, patch = night
    patch.setenv("FX_CLOCK", f"{moment.isoformat()}@{datetime.now(UTC).isoformat()}")
    context = dg.build_schedule_context(
        instance=platform.instance,
        scheduled_execution_time=TICK,
        repository_def=platform.definitions.get_repository_def(),
    )
    found = platform.definitions.resolve_schedule_def(ROW).evaluate_tick(context)
    return list(found.run_requests or ()), found.skip_message or ""


def span(request: dg.RunRequest) -> tuple[str | None, str | None]:
    tags = request.tags
    return (
        tags.get("dagster/asset_partition_range_start", request.partition_key),
        tags.get("dagster/asset_partition_range_end", request.partition_key),
    )


def test_the_session_that_has_ended_is_fetched_and_made_again(night):
    ((request,), _) = ask(night)
    assert span(request) == ("2021-03-10", "2021-03-10")
    assert request.tags["fx/fetch_again"] == "2021-03-10"
    names = {key.to_user_string() for key in request.asset_selection or []}
    assert {"bronze/candles", "silver/candles", "gold/features", "gold/labels", "online_features"} <= names


def test_a_corrected_candle_and_a_missing_partition_are_made_good_with_all_that_follows(night):
    platform, _ = night
    rows = platform.bronze.read(CANDLES, ["2021-03-08"], ["GBP_USD"])
    frame = rows[["time", "open", "high", "low", "close", "volume"]].assign(close=lambda f: f["low"])
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    platform.bronze.append(CANDLES, "GBP_USD", "2021-03-08", "sample", frame, datetime.now(UTC))
    (requests, _) = ask(night)
    assert [span(request) for request in requests][-1][1] == "2021-03-10"
    assert min(span(request)[0] or "" for request in requests) <= "2021-03-08"
    for request in requests:
        job = platform.definitions.resolve_job_def(ROW).get_subset(asset_selection=set(request.asset_selection or []))
        done = job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=platform.instance,
            partition_key=request.partition_key,
            tags=dict(request.tags),
        )
        assert done.success
    silver = platform.lake.table("silver/candles", "2021-03-08", "2021-03-08")
    assert (silver["close"] == silver["low"]).mean() > 0.9
    # By the same night it is done; by the next one nothing but the newest is due.
    assert "session 2021-03-10 was done by run" in ask(night)[1]
    platform.lake.path("gold/labels", "2021-03-09").unlink()
    requests, _ = ask(night, datetime(2021, 3, 12, 23, 30, tzinfo=UTC))
    assert any((span(request)[0] or "") <= "2021-03-09" <= (span(request)[1] or "") for request in requests)
    assert {request.tags[SESSION] for request in requests} >= {"2021-03-11"}


def test_at_the_weekend_it_rests_once_friday_is_closed(night):
    platform, _ = night
    job = platform.definitions.resolve_job_def(ROW)
    tags = {"fx/row": ROW, SESSION: "2021-03-11"}
    platform.instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.SUCCESS)
    for day in (12, 13):
        requests, why = ask(night, datetime(2021, 3, day, 23, 45, tzinfo=UTC))
        assert not requests
        assert "session 2021-03-11 was done" in why


def test_a_home_that_was_begun_today_does_not_fill_the_years_before(tmp_path, monkeypatch):
    instruments = changed(INSTRUMENTS, sessions={"start": "2020-10-01"})
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        configuration = configuration_of(write_config(tmp_path / "config", instruments), monkeypatch)
        found = ask((Platform(tmp_path, configuration, instance), monkeypatch))[0]
    assert [span(request) for request in found] == [("2021-03-10", "2021-03-10")]


def test_a_block_tells_whether_it_is_fetched_again():
    assert blocks([("a", True), ("b", False), ("c", False)], "c") == [Block("a", "a", False), Block("c", "c", True)]
