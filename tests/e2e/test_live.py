"""fx practice and fx up: a live market over the 17:00 New York rollover, with the pricing stream and without it.

In between, all of fx up is killed at work. The whole takes about seven minutes, most of them waiting: bars of a minute
come once a minute. So it runs beside the other tests and not alone.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.freshness.newest import newest_rows
from fx_assets.lake import Lake
from fx_assets.stack.ports import free_port
from fx_serving.client import clock
from fx_serving.client.clock import parse_utc
from tests.servers.platform import FX, ROOT, Platform, environment, fx, start_platform
from tests.servers.serving import wait_until

pytestmark = [pytest.mark.slow(480), pytest.mark.timeout(2700)]

START, ROLLOVER, END = (f"2022-01-12T{at}Z" for at in ("21:57:30", "22:00:00", "22:02:30"))
ENDED, BEGUN = "2022-01-11", "2022-01-12"
INSTRUMENTS = ["AUD_USD", "GBP_USD", "USD_CAD", "USD_JPY"]
MINUTE = timedelta(minutes=1)
#: Seconds from a bar's close to its row in gold/features.
TARGET_S = 90
POLL_S = 30
POLLED_S, POLLED_BARS = 100, 3
#: Most seconds that a machine which is busy with other tests may take to show what an idle one shows at once.
PATIENCE_S = 240

RUNS = """query Live($tags: [ExecutionTag!]) {
  runsOrError(filter: {tags: $tags}) { ... on Runs { results { runId status tags { key value } } } }
}"""


def complete_bars(lake: Lake) -> set[datetime]:
    """Opens of the bars that every instrument has in gold/features."""
    there = lake.table("gold/features", ENDED, columns=["time"])["time"].value_counts()
    return {time.to_pydatetime() for time in there.index[there == len(INSTRUMENTS)]}


@dataclass
class Watched:
    """What was seen of gold/features while a market was live."""

    lags: list[float] = field(default_factory=list)  # seconds from each bar's close to its rows, as they came
    before: list[int] = field(default_factory=list)  # rows of the ended session while it was today's
    after: list[int] = field(default_factory=list)  # rows of the session that began at the rollover
    keys: dict[str, datetime] = field(default_factory=dict)  # session -> when its partition was first seen
    runs: list[dict[str, Any]] = field(default_factory=list)  # tags of each live run, with its status and end
    answer: str = ""
    status: str = ""

    def watch(self, lake: Lake, until: datetime, least: int, done: Callable[[], bool] = lambda: True) -> None:
        """Look once a second until the data clock says `until`, so many bars have come and all else is done."""
        known: set[datetime] | None = None
        last = until + timedelta(seconds=PATIENCE_S)
        while (now := clock.now()) < until or (now < last and not (len(self.lags) >= least and done())):
            bars = complete_bars(lake)
            if known is not None:
                self.lags += [(now - bar - MINUTE).total_seconds() for bar in sorted(bars - known)]
            if bars != known:
                self.rows_of_today(lake, now)
            known = bars
            for key in lake.keys("gold/features"):
                self.keys.setdefault(key, now)
            time.sleep(1)

    def rows_of_today(self, lake: Lake, now: datetime) -> None:
        """Note how many there are; between the look and the count there may be more."""
        session, seen = (ENDED, self.before) if now < instant(ROLLOVER) else (BEGUN, self.after)
        if (rows := len(lake.table("gold/features", session, session))) and rows not in seen[-1:]:
            seen.append(rows)

    def finish(self, platform: Platform) -> None:
        """What the platform says of itself at the end."""
        self.runs = live_runs(platform)
        predicted = fx("predict", "GBP_USD", timeout_s=400, **platform.environment)
        self.answer = predicted.stdout + predicted.stderr
        self.status = fx("status", "--home", platform.home).stdout

    def reasons(self) -> set[str]:
        return {run["fx/live_reason"] for run in self.runs}


def live_runs(platform: Platform) -> list[dict[str, Any]]:
    """Tags of each live run so far, with its id and status."""
    runs = platform.graphql(RUNS, {"tags": [{"key": "fx/live", "value": "true"}]})["runsOrError"]["results"]
    return [{t["key"]: t["value"] for t in run["tags"]} | {"id": run["runId"], "status": run["status"]} for run in runs]


def settles_the_ended_session(runs: list[dict[str, Any]]) -> bool:
    """Whether one of the runs fetches the ended session's last candles, beside the one that has begun."""
    covered = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    ranges = [tuple(run.get(tag) for tag in covered) for run in runs if run["fx/live_reason"] == "settle"]
    return (ENDED, BEGUN) in ranges


@contextlib.contextmanager
def practice(home: Path) -> Iterator[None]:
    """`fx practice` on a home; FX_CLOCK of this process is its clock."""
    command = [*FX, "practice", "--home", str(home), "--start", START, "--port", str(free_port())]
    log = home.parent / "practice.log"
    with log.open("wb") as output, pytest.MonkeyPatch.context() as patch:
        for name in ("OANDA_TOKEN", "OANDA_ACCOUNT"):
            patch.delenv(name, raising=False)  # a developer's own account would win over the practice one
        child = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        try:
            address = home / "practice.json"
            wait_until(lambda: address.exists() or child.poll() is not None)
            assert child.poll() is None, log.read_text()
            patch.setenv("FX_CLOCK", msgspec.json.decode(address.read_bytes())["clock"])
            yield
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(120)


def kill_at_work(platform: Platform) -> str:
    """SIGKILL all of it while a live run is under way; that run's id."""
    filters = dg.RunsFilter(tags={"fx/live": "true"}, statuses=[dg.DagsterRunStatus.STARTED])
    with dg.DagsterInstance.from_config(str(platform.home / "dagster")) as instance:
        wait_until(lambda: instance.get_runs(filters, limit=1), PATIENCE_S)
        platform.kill()
        (run,) = instance.get_runs(filters)
    return run.run_id


def instant(text: str) -> datetime:
    return parse_utc(text)


@dataclass
class Live:
    home: Path
    streamed: Watched
    polled: Watched
    killed: str = ""  # the run that was under way when the first platform was killed
    listening: set[str] = field(default_factory=set)  # the addresses on which the whole platform listened


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Live:
    """Both phases on one home: with the stream over the rollover, then without it."""
    home = tmp_path_factory.mktemp("live") / "home"
    home.mkdir()
    found = Live(home, Watched(), Watched())
    lake = Lake(home / "lake")
    with practice(home):
        with start_platform(home) as platform:
            said = "".join(platform.output)
            assert "practice: AUD_USD, GBP_USD, USD_CAD, USD_JPY by stream; fetched every 300 s" in said, said
            wait_until(lambda: newest_rows(lake, "gold/features", INSTRUMENTS), PATIENCE_S)

            def rolled_over() -> bool:
                # There is one run at a time: the one that settles waits for the one under way to end.
                return len(found.streamed.after) > 1 and settles_the_ended_session(live_runs(platform))

            found.streamed.watch(lake, instant(END), 3, rolled_over)
            found.listening = platform.listening()
            found.streamed.finish(platform)
            found.killed = kill_at_work(platform)
        configured = home / "config" / "instruments.yaml"
        configured.write_text(configured.read_text().replace("stream: true", "stream: false"))
        (home / "config" / "data.yaml").write_text(f"live: {{poll_seconds: {POLL_S}}}\n")
        with start_platform(home) as platform:
            assert f"practice: fetched every {POLL_S} s" in "".join(platform.output)

            def polled() -> bool:
                # The run that was killed is made again first, and may bring the first bars.
                runs = live_runs(platform)
                killed = {run["status"] for run in runs if run["id"] == found.killed}
                polls = {run["status"] for run in runs if run["fx/live_reason"] == "poll"}
                return killed == {"FAILURE"} and "SUCCESS" in polls

            found.polled.watch(lake, clock.now() + timedelta(seconds=POLLED_S), POLLED_BARS, polled)
            found.polled.finish(platform)
    for name, watched in (("stream", found.streamed), (f"every {POLL_S} s", found.polled)):
        lags = " ".join(f"{lag:.0f}" for lag in watched.lags)
        print(f"gold/features behind the bar's close, {name}: {lags} s; load {os.getloadavg()[0]:.1f}")
    return found


def test_bars_arrive_by_stream_and_the_candles_that_are_fetched_win(live: Live):
    rows = Bronze(live.home / "lake").read(CANDLES, [ENDED, BEGUN], ["GBP_USD"])
    assert {"oanda", "oanda_stream"} <= set(rows["fetch_source"])
    assert {"stream", "settle"} <= live.streamed.reasons()
    silver = Lake(live.home / "lake").table("silver/candles", ENDED, ENDED, ["GBP_USD"])
    assert set(silver["source"]) == {"oanda"}  # the session was settled by a fetch


def test_todays_partition_grows_and_the_session_rolls_over_at_five_in_new_york(live: Live):
    for rows in (live.streamed.before, live.streamed.after):
        assert rows == sorted(set(rows)), "more rows each time"
    # A slow machine may have little time before the rollover; behind it there is no end.
    assert len(live.streamed.before) >= 1
    assert len(live.streamed.after) >= 2
    assert BEGUN in live.streamed.keys, live.streamed.keys
    assert live.streamed.keys[BEGUN] >= instant(ROLLOVER)
    candles = Lake(live.home / "lake").table("silver/candles")
    ended = candles[candles["time"] < instant(ROLLOVER)]
    assert ended["time"].max() == instant(ROLLOVER) - MINUTE
    # No minute is missing of what was live, not even the one in which the stream connected.
    bars = sorted(bar for bar in complete_bars(Lake(live.home / "lake")) if bar >= instant(START) - 30 * MINUTE)
    assert len(bars) == (bars[-1] - bars[0]) / MINUTE + 1
    assert settles_the_ended_session(live.streamed.runs)


def test_gold_is_within_ninety_seconds_of_the_bar_with_the_stream(live: Live):
    assert len(live.streamed.lags) >= 3
    assert max(live.streamed.lags) <= TARGET_S


def test_gold_is_within_the_cadence_and_ninety_seconds_without_it(live: Live):
    assert live.polled.reasons() >= {"poll"}
    assert len(live.polled.lags) >= POLLED_BARS
    # The first ones waited for the platform to start.
    assert max(live.polled.lags[-2:]) <= POLL_S + TARGET_S


def test_every_live_run_succeeded_but_the_one_that_was_killed(live: Live):
    runs = [run for run in (*live.streamed.runs, *live.polled.runs) if run["id"] != live.killed]
    under_way = {"NOT_STARTED", "QUEUED", "STARTING", "STARTED"}
    assert {run["status"] for run in runs} - under_way == {"SUCCESS"}


def test_a_run_that_was_killed_with_the_platform_does_not_hold_the_next_one(live: Live):
    (killed,) = [run for run in live.polled.runs if run["id"] == live.killed]
    assert killed["status"] == "FAILURE"
    assert any(
        run["dagster/parent_run_id"] == live.killed for run in live.polled.runs if "dagster/parent_run_id" in run
    )


def test_the_service_says_why_it_cannot_predict(live: Live):
    """Nothing was trained in this home: the answer names that, and is no stack trace."""
    assert "Traceback" not in live.streamed.answer
    assert "deployed" in live.streamed.answer, live.streamed.answer


def test_status_calls_the_tables_fresh_and_the_market_open(live: Live):
    assert "market fx (AUD_USD, GBP_USD, USD_CAD, USD_JPY)" in live.streamed.status
    assert ": open until 2022-01-14 22:00 UTC (Fri 17:00 New York)" in live.streamed.status
    gold = [line for line in live.streamed.status.splitlines() if "gold/features" in line and "GBP_USD" in line]
    assert "fresh" in gold[0], gold


def test_nothing_of_it_listens_to_other_machines(live: Live):
    assert live.listening == {"127.0.0.1"}
