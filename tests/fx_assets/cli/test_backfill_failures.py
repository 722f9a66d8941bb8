"""fx backfill when something goes wrong: sources that fail or send nonsense, a process that is ended."""

import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import psutil
import pytest

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.lake import Lake
from tests.fx_assets.cli.backfills import bronze_files, flat, planned
from tests.fx_assets.cli.conftest import partitions_below
from tests.fx_assets.small import INSTRUMENTS, changed, write_config
from tests.servers.platform import ROOT, environment, fx, living
from tests.servers.serving import wait_until


def test_a_source_that_sends_nonsense_fails_and_everything_else_is_made(tmp_path):
    home = tmp_path / "home"
    write_config(home / "config", changed(INSTRUMENTS, sessions__end="2020-10-08"))
    assert fx("backfill", "--to", "2020-10-01", "--home", home).returncode == 0
    bronze, bad = Bronze(home / "lake"), "2020-10-05"
    good = Lake(home / "lake").table("silver/candles").query("instrument == 'GBP_USD'")
    candles = good[["time", "open", "high", "low", "close", "volume"]]
    nonsense = candles.assign(time=candles["time"] + pd.Timedelta(days=4), high=candles["low"] / 2)
    bronze.append(CANDLES, "GBP_USD", bad, "sample", nonsense, datetime.now(UTC))
    done = fx("backfill", "--home", home)
    assert done.returncode == 1
    assert f"silver/candles: {bad}: has problems" in done.stderr
    lake = Lake(home / "lake")
    others = ["2020-10-01", "2020-10-04", "2020-10-06", "2020-10-07", "2020-10-08"]
    assert lake.keys("gold/features") == lake.keys("gold/labels") == others
    again = fx("backfill", "--home", home)
    assert again.returncode == 0, "known, and told, but nothing has failed"
    assert "nothing to do" in again.stdout
    assert f"silver/candles: {bad}: has problems" in flat(again)
    forced = fx("backfill", "--home", home, "--force", "--from", bad, "--to", bad)
    assert forced.returncode == 0, forced.stderr
    assert bad in lake.keys("gold/features")


def test_what_a_source_refuses_is_told_with_the_remedy_and_the_rest_is_fetched(tmp_path):
    home = tmp_path / "home"
    refused = {"typical_spread": 0.0001, "sources": ["oanda"]}
    instruments = changed(INSTRUMENTS, sessions__end="2020-10-05", instruments__EUR_USD=refused)
    write_config(home / "config", instruments)
    done = fx("backfill", "--home", home)
    assert done.returncode == 1
    assert bronze_files(home) == {"GBP_USD": 3, "USD_JPY": 3}
    assert "EUR_USD, session 2020-10-01: no source answered. oanda: OANDA_TOKEN is not set." in done.stderr
    assert "1 run failed:" in done.stdout
    assert done.stderr.count("The whole log:") == 1
    assert "still to be made. Mend what is said above, then call `fx backfill` again." in done.stderr
    assert Lake(home / "lake").keys("gold/news_signals") == ["2020-10-01", "2020-10-04", "2020-10-05"]
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        assert len(instance.get_runs()) <= 3, "not asked for ever"
    write_config(home / "config", changed(INSTRUMENTS, sessions__end="2020-10-05"))
    mended = fx("backfill", "--home", home)
    assert mended.returncode == 0, mended.stderr
    assert bronze_files(home) == {"GBP_USD": 3, "USD_JPY": 3}
    assert "nothing to do" in fx("backfill", "--home", home).stdout


OCTOBER = changed(INSTRUMENTS, sessions__end="2020-10-28")
SHORT_RUNS = [
    sys.executable,
    "-c",
    "from fx_assets.runs.backfill import estimate; estimate.RUN_S = 0.1; estimate.SHORTEST_RUN = 6;"
    "from fx_serving.cli import main; main()",
]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """A home in which one backfill was made without any interruption."""
    home = tmp_path_factory.mktemp("uninterrupted")
    write_config(home / "config", OCTOBER)
    assert fx("backfill", "--home", home).returncode == 0
    return home


@pytest.mark.slow(200)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_backfill_that_was_ended_goes_on_where_it_was(tmp_path, uninterrupted, number):
    home = tmp_path / "home"
    write_config(home / "config", OCTOBER)
    command = [*SHORT_RUNS, "backfill", "--home", str(home)]
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=out, stderr=out, start_new_session=True)
    lake, below = Lake(home / "lake"), []
    try:
        wait_until(lambda: len(lake.keys("gold/labels")) >= 6, 90, 0.05)
        time.sleep(0.7)  # into the next run
        below = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        if number == signal.SIGKILL:
            for child in below:
                child.kill()
        process.wait(120)
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not living(below))
    said = (tmp_path / "out").read_text()
    assert "120 partitions" not in said
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stopped. What was made stays; `fx backfill` goes on from there." in said
    made_before = len(lake.keys("gold/labels"))
    assert 6 <= made_before < 20
    done = fx("backfill", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    # The sessions of the runs that had ended are not made again, but for the label that looks ahead.
    assert planned(done)["gold"][2] >= 4 * 6 - 1
    assert "nothing to do" in fx("backfill", "--home", home).stdout
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        statuses = [run.status for run in instance.get_runs()]
    # None is left "started" for ever. The signal may also have come between two runs.
    assert set(statuses) <= {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
    assert statuses.count(dg.DagsterRunStatus.FAILURE) <= 1
    for layer in ("silver", "gold"):
        assert partitions_below(home / "lake" / layer) == partitions_below(uninterrupted / "lake" / layer)
