"""The live sensor on an ephemeral instance: real ticks with the cursor carried along, and real runs of its requests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES
from fx_assets.live.decide import POLL, SETTLE, STREAM
from fx_assets.live.newest import Newest, newest_path, write_newest
from fx_assets.live.sensor import TAG
from fx_assets.quality.held import Held
from tests.fx_assets.small import INSTRUMENTS, Platform, changed, checks, configuration_of, made, write_config


class Ticks:
    """The sensor of one platform, ticked at moments of the data clock."""

    def __init__(self, platform: Platform, monkeypatch: pytest.MonkeyPatch):
        self.platform, self.monkeypatch = platform, monkeypatch
        self.repository = platform.definitions.get_repository_def()
        self.sensor = platform.definitions.resolve_sensor_def("live")
        self.cursor: str | None = None

    def at(self, instant: str) -> Any:
        """One tick; its cursor is kept as the daemon keeps it."""
        self.monkeypatch.setenv("FX_CLOCK", instant)
        context = dg.build_sensor_context(
            instance=self.platform.instance, cursor=self.cursor, repository_def=self.repository
        )
        result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor or self.cursor
        return result

    def request(self, instant: str) -> dg.RunRequest:
        """A tick that must ask for a run."""
        (request,) = self.at(instant).run_requests
        return request

    def execute(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The requested run, in this process."""
        job = self.platform.definitions.resolve_job_def("live").get_subset(
            asset_selection=set(request.asset_selection or []),
            asset_check_selection=set(request.asset_check_keys or []),
        )
        return job.execute_in_process(
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            instance=self.platform.instance,
            partition_key=request.partition_key,
            tags={TAG: "true", **request.tags},
        )


@pytest.fixture
def ticks(tmp_path, monkeypatch, request) -> Iterator[Ticks]:
    """Indirect parameter: more instruments."""
    monkeypatch.setenv("FX_CLOCK", "2021-03-10T12:00:00Z")
    monkeypatch.delenv("OANDA_TOKEN", raising=False)
    every = {**INSTRUMENTS["instruments"], **getattr(request, "param", {})}
    instruments = changed(INSTRUMENTS, sessions={"start": "2021-03-01"}, instruments=every)
    configuration = configuration_of(write_config(tmp_path / "config", instruments), monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Ticks(Platform(tmp_path, configuration, instance), monkeypatch)


def assets(request: dg.RunRequest) -> set[str]:
    return {key.to_user_string() for key in request.asset_selection or []}


def span(request: dg.RunRequest) -> tuple[str | None, str | None]:
    tags = request.tags
    return (
        tags.get("dagster/asset_partition_range_start", request.partition_key),
        tags.get("dagster/asset_partition_range_end", request.partition_key),
    )


def stream(home: Path, **bars: str) -> None:
    write_newest(home, Newest(datetime.now(UTC), {k: datetime.fromisoformat(v) for k, v in bars.items()}))


def hold(held: Held, platform: Platform, session: str) -> None:
    symbols = list(platform.configuration.instruments.instruments)
    held.judge(platform.bronze.digests(CANDLES, [session], symbols), [[session]])


def test_nothing_is_built_on_a_session_that_is_held_back(ticks):
    platform, time = ticks.platform, pd.DatetimeIndex(["2021-03-04T12:00Z"])
    held = Held(platform.home, platform.bronze, platform.configuration)
    frame = pd.DataFrame({"time": time, "open": 1.3, "high": 1.3, "low": 1.3, "close": 1.3})
    platform.bronze.append(CANDLES, "GBP_USD", "2021-03-03", "feed", frame, datetime.now(UTC))
    hold(held, platform, "2021-03-03")
    fetch = ticks.request("2021-03-10T20:30:00Z")
    assert assets(fetch) == {"bronze/candles", "bronze/news"}
    stream(platform.home, GBP_USD="2021-03-10T20:00:00+00:00")
    skipped = ticks.at("2021-03-10T20:31:00Z").skip_message
    assert "silver/candles: 2021-03-03 (1 session) held back" in skipped
    assert "fx backfill" in skipped
    # Other fetches than those that were judged: it is free, as in a backfill.
    platform.bronze.append(CANDLES, "GBP_USD", "2021-03-03", "feed", frame.assign(low=1.2), datetime.now(UTC))
    assert "gold/features" in assets(ticks.request("2021-03-10T20:31:10Z"))


def test_a_held_session_beyond_all_lookback_stops_nothing(ticks):
    platform = ticks.platform
    hold(Held(platform.home, platform.bronze, platform.configuration), platform, "2020-06-03")
    assert "gold/features" in assets(ticks.request("2021-03-10T20:30:00Z"))


def test_a_day_with_real_runs_over_the_rollover(ticks):
    platform = ticks.platform
    first = ticks.request("2021-03-10T20:30:00Z")
    assert (first.tags["fx/live_reason"], span(first)) == (SETTLE, ("2021-03-08", "2021-03-09"))
    done = ticks.execute(first)
    assert done.success
    assert made(done)["gold/features"] == ["2021-03-08", "2021-03-09"]
    assert made(done)["online_features"] == ["None"]
    before = platform.lake.table("gold/features", "2021-03-09")
    assert before["time"].max().isoformat() == "2021-03-10T19:00:00+00:00"

    poll = ticks.request("2021-03-10T21:30:00Z")
    assert (poll.tags["fx/live_reason"], span(poll)) == (POLL, ("2021-03-09", "2021-03-09"))
    assert ticks.execute(poll).success
    grown = platform.lake.table("gold/features", "2021-03-09")
    assert len(grown) == len(before) + 2  # today's partition grows by an hour of two instruments
    assert ticks.at("2021-03-10T21:31:00Z").skip_message.startswith("no newer bar by stream")

    rolled = ticks.request("2021-03-10T23:05:00Z")
    assert (rolled.tags["fx/live_reason"], span(rolled)) == (SETTLE, ("2021-03-09", "2021-03-10"))
    done = ticks.execute(rolled)
    assert made(done)["gold/features"] == ["2021-03-09", "2021-03-10"]
    assert len(platform.lake.table("silver/candles", "2021-03-09", "2021-03-09")) == 48
    assert platform.lake.table("gold/features", "2021-03-10")["time"].min().isoformat() == "2021-03-10T22:00:00+00:00"
    newest = {c.check_name: c for c in done.get_asset_check_evaluations() if c.asset_key.path[-1] == "features"}
    assert newest["newest_bar"].passed
    assert newest["schema"].passed
    # That one looks at every session there is; it has a schedule of its own.
    assert "failed_partitions" not in newest


@pytest.mark.parametrize("ticks", [{"EUR_USD": {"typical_spread": 0.0001, "sources": ["oanda"]}}], indirect=True)
def test_an_instrument_that_is_refused_keeps_no_other_from_its_poll(ticks):
    ticks.execute(ticks.request("2021-03-10T20:30:00Z"))
    poll = ticks.request("2021-03-10T21:30:00Z")
    assert poll.tags["fx/live_reason"] == POLL
    done = ticks.execute(poll)
    assert done.success
    check = checks(done)["bronze/candles/fetched"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "EUR_USD, session 2021-03-09: no source answered. oanda: OANDA_TOKEN is not set" in str(check.description)
    newest = ticks.platform.lake.table("gold/features", "2021-03-09").groupby("instrument")["time"].max()
    assert {symbol: f"{time:%H:%M}" for symbol, time in newest.items()} == {"GBP_USD": "20:00", "USD_JPY": "20:00"}


def test_a_streamed_bar_asks_for_everything_but_the_fetch(ticks):
    first = ticks.request("2021-03-10T12:00:00Z")
    assert {"bronze/candles", "bronze/news", "feature_registry", "online_features"} <= assets(first)
    stream(ticks.platform.home, GBP_USD="2021-03-10T11:00:00+00:00")
    request = ticks.request("2021-03-10T12:00:20Z")
    assert request.tags["fx/live_reason"] == STREAM
    assert request.partition_key == "2021-03-09"
    assert {"silver/candles", "gold/labels", "online_features", "feature_registry"} <= assets(request)
    assert not {key for key in assets(request) if key.startswith("bronze")}
    (ticks.platform.home / "feast").mkdir()
    (ticks.platform.home / "feast" / "registry.db").touch()
    stream(ticks.platform.home, GBP_USD="2021-03-10T11:01:00+00:00")
    assert "feature_registry" not in assets(ticks.request("2021-03-10T12:01:20Z"))


def test_every_run_key_is_new_and_names_session_and_reason(ticks):
    request = ticks.request("2021-03-10T12:00:00Z")
    assert request.run_key is not None
    assert request.run_key.startswith("live-2021-03-09-settle-20")


def test_one_run_at_a_time(ticks):
    instance = ticks.platform.instance
    job = ticks.platform.definitions.resolve_job_def("live")
    run = instance.create_run_for_job(job, tags={TAG: "true"}, status=dg.DagsterRunStatus.STARTED)
    assert ticks.at("2021-03-10T12:00:00Z").skip_message == f"the run {run.run_id[:8]} is still working"
    instance.report_run_failed(run)
    assert ticks.at("2021-03-10T12:00:10Z").run_requests


def test_what_a_failed_run_was_to_settle_is_asked_for_again(ticks):
    instance = ticks.platform.instance
    request = ticks.request("2021-03-10T22:02:00Z")
    job = ticks.platform.definitions.resolve_job_def("live")
    run = instance.create_run_for_job(job, tags={TAG: "true"}, status=dg.DagsterRunStatus.STARTED)
    instance.report_run_failed(run)
    assert not ticks.at("2021-03-10T22:03:00Z").run_requests
    again = ticks.request("2021-03-10T22:07:10Z")
    assert (again.tags["fx/live_reason"], span(again)) == (SETTLE, span(request))


def test_a_run_that_has_shown_nothing_for_long_is_not_waited_for(ticks, monkeypatch):
    instance = ticks.platform.instance
    job = ticks.platform.definitions.resolve_job_def("live")
    instance.create_run_for_job(job, tags={TAG: "true"}, status=dg.DagsterRunStatus.STARTED)
    assert not ticks.at("2021-03-10T12:00:00Z").run_requests
    monkeypatch.setattr("fx_assets.live.sensor.DEAD_AFTER", timedelta(0))
    assert ticks.at("2021-03-10T12:00:10Z").run_requests


@pytest.mark.parametrize(
    ("instant", "opening"),
    [
        ("2021-03-13T12:00:00Z", "2021-03-14 21:00 UTC (Sun 17:00 New York)"),
        ("2021-12-24T21:00:00Z", "2021-12-26 22:00 UTC (Sun 17:00 New York)"),
    ],
)
def test_while_the_market_is_closed_the_next_opening_is_named(ticks, instant, opening):
    assert ticks.at(instant).skip_message.endswith(f"the next opens at {opening}")


def test_a_note_that_cannot_be_read_counts_as_none(ticks):
    ticks.request("2021-03-10T12:00:00Z")
    newest_path(ticks.platform.home).parent.mkdir()
    newest_path(ticks.platform.home).write_bytes(b"{")
    assert ticks.at("2021-03-10T12:00:30Z").skip_message.startswith("no newer bar")


@pytest.mark.parametrize("live", [{"enabled": False}, None])
def test_without_a_running_market_there_is_no_live_sensor(tmp_path, monkeypatch, live):
    instruments = changed(INSTRUMENTS, sessions={"start": "2021-03-01"}) if live else INSTRUMENTS
    folder = write_config(tmp_path / "config", instruments)
    if live:
        (folder / "data.yaml").write_text("live: {enabled: false}\n")
    with dg.DagsterInstance.ephemeral() as instance:
        platform = Platform(tmp_path, configuration_of(folder, monkeypatch), instance)
        names = {sensor.name for sensor in platform.definitions.get_repository_def().sensor_defs}
        assert "retrain_on_drift" in names
        assert "live" not in names
