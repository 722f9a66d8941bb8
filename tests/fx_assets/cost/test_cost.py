"""What steps cost: noted by real runs, added up by what made them."""

import json
import os
from datetime import UTC, date, datetime
from multiprocessing import get_context

import dagster as dg
import pytest

from fx_assets.cost.ledger import Entry, add, folder, read
from fx_assets.cost.summary import BY, summed, total
from fx_assets.tables import define_asset, define_assets
from tests.servers.platform import fx

DAYS = dg.DailyPartitionsDefinition("2022-03-01", end_date="2022-03-05")


def entry(**changes):
    known = {"at": datetime(2022, 3, 4, 12, tzinfo=UTC), "run_id": "run-one", "assets": ["silver/candles"]}
    return Entry(**{**known, "seconds": 2.0, "cpu_s": 1.0, "peak_mib": 100.0, **changes})


def run(asset, monkeypatch, home, **options):
    monkeypatch.setenv("FX_HOME", str(home))
    return dg.materialize([asset], **options)


def test_a_run_notes_time_memory_rows_and_partitions(tmp_path, monkeypatch):
    @define_asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def counted():
        until = os.times().user + 0.2
        while os.times().user < until:
            pass
        return dg.MaterializeResult(metadata={"run_rows": 40})

    tags = {
        "dagster/asset_partition_range_start": "2022-03-01",
        "dagster/asset_partition_range_end": "2022-03-03",
        "fx/command": "backfill",
    }
    done = run(counted, monkeypatch, tmp_path, tags=tags)
    (found,) = read(tmp_path)
    assert (found.run_id, found.assets, found.command) == (done.run_id, ["counted"], "backfill")
    assert (found.partitions, found.first, found.last, found.rows) == (3, "2022-03-01", "2022-03-03", 40)
    assert found.cpu_s >= 0.15
    assert found.peak_mib > 20


def test_a_step_of_several_assets_is_one_entry_and_a_failed_one_is_none(tmp_path, monkeypatch):
    @define_assets(name="both", specs=[dg.AssetSpec("one"), dg.AssetSpec("two")])
    def both():
        return dg.MaterializeResult(asset_key="one"), dg.MaterializeResult(asset_key="two")

    @define_asset()
    def broken():
        raise ValueError("no")

    run(both, monkeypatch, tmp_path)
    assert not run(broken, monkeypatch, tmp_path, raise_on_error=False).success
    assert [found.assets for found in read(tmp_path)] == [["one", "two"]]


def test_without_a_home_and_outside_of_a_run_nothing_is_noted(tmp_path, monkeypatch):
    @define_asset()
    def quiet():
        return dg.MaterializeResult()

    monkeypatch.delenv("FX_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert dg.materialize([quiet]).success
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    quiet()
    assert list(tmp_path.rglob("*.ndjson")) == []


def test_a_disk_that_takes_nothing_does_not_fail_the_step(tmp_path, monkeypatch, caplog):
    @define_asset()
    def made():
        return dg.MaterializeResult()

    folder(tmp_path).parent.mkdir()
    folder(tmp_path).write_text("in the way")
    assert run(made, monkeypatch, tmp_path).success
    assert "cannot be noted" in caplog.text


def _many(home, name):
    for number in range(200):
        add(home, entry(run_id=f"{name}-{number}"))


def test_processes_add_to_one_file_and_a_torn_line_is_passed_over(tmp_path):
    context = get_context("fork")
    workers = [context.Process(target=_many, args=(tmp_path, name)) for name in "abc"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with (folder(tmp_path) / "2022-03.ndjson").open("ab") as file:
        file.write(b'{"at": "2022-03-0')
    assert len({found.run_id for found in read(tmp_path)}) == 600


def test_days_are_those_asked_for(tmp_path):
    for day in (27, 28):
        add(tmp_path, entry(at=datetime(2022, 2, day, 23, 59, tzinfo=UTC)))
    add(tmp_path, entry(at=datetime(2022, 3, 1, 0, 0, tzinfo=UTC)))
    assert [e.at.day for e in read(tmp_path, date(2022, 2, 28), date(2022, 3, 1))] == [28, 1]
    assert [e.at.day for e in read(tmp_path, until=date(2022, 2, 27))] == [27]


@pytest.mark.parametrize("by", BY)
def test_every_sum_is_whole(by):
    entries = [
        entry(assets=["m/trained_model"], first="2022-03-01", last="2022-03-01", partitions=1, rows=10, size=100),
        entry(assets=["m/a", "m/b"], run_id="run-two", command="backfill", cpu_s=4.0),
        entry(assets=["n/trained_model", "silver/x"], first="2022-03-01", last="2022-03-04", partitions=4),
    ]
    found, whole = summed(entries, by, ("m", "n")), total(entries)
    assert sum(cost.cpu_s for cost in found) == pytest.approx(whole.cpu_s)
    assert [cost.cpu_s for cost in found] == sorted((cost.cpu_s for cost in found), reverse=True)


def test_what_is_not_said_is_not_called_nothing_and_a_run_tells_when_it_began():
    runs = summed([entry(seconds=60.0), entry(at=datetime(2022, 3, 4, 13, tzinfo=UTC), rows=0)], "run")
    assert [(cost.rows, cost.size, cost.begun) for cost in runs] == [
        (0, None, datetime(2022, 3, 4, 11, 59, tzinfo=UTC))
    ]
    models = summed([entry(), entry(assets=["m/a"])], "model", ("m",))
    assert {cost.name for cost in models} == {"m", "no model"}


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"fx/command": "backfill", "fx/row": "x"}, "backfill"),
        ({"fx/row": "monitor"}, "monitor"),
        ({}, None),
    ],
)
def test_a_run_is_named_by_who_asked_for_it(tmp_path, monkeypatch, tags, named):
    @define_asset()
    def made():
        return dg.MaterializeResult()

    run(made, monkeypatch, tmp_path, tags=tags)
    assert [found.command for found in read(tmp_path)] == [named]
    job = dg.Definitions([made], jobs=[dg.define_asset_job("by_hand", [made])]).resolve_job_def("by_hand")
    job.execute_in_process(tags=tags)
    assert [found.command for found in read(tmp_path)] == [named, named or "by_hand"]


def test_the_command_shows_sums_and_refuses_what_it_does_not_know(tmp_path):
    add(tmp_path, entry())
    add(tmp_path, entry(assets=["move_60m/trained_model"], cpu_s=7200.0))
    done = fx("cost", "--by", "model", "--price", "0.5", "--home", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "move_60m" in done.stdout
    assert "1.0000" in done.stdout
    rows = json.loads(fx("cost", "--by", "model", "--json", "--home", tmp_path).stdout)
    assert [row["name"] for row in rows] == ["move_60m", "no model", "total"]
    wrong = fx("cost", "--by", "colour", "--home", tmp_path)
    assert wrong.returncode == 1
    assert "--by: 'colour' is none of asset, day, session, model, run, command." in wrong.stderr
    assert "--since: 'soon' is no date" in fx("cost", "--since", "soon", "--home", tmp_path).stderr
    assert "nothing was noted" in fx("cost", "--since", "2030-01-01", "--home", tmp_path).stdout
