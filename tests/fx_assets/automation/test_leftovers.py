"""The clean-up: what goes, what stays whatever its age, and that a dry run removes nothing."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fx_assets.automation.clean_up import JOB, CleanUpConfig
from fx_assets.automation.leftovers import LOG, OUTPUT, REPORT, TEMPORARY, leftovers, remove
from fx_assets.configuration.automation import CleanUp
from fx_serving.client.home import Stores
from tests.fx_assets.small import Platform, configuration_of, write_config

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SETTINGS = CleanUp(reports_days=30, keep_reports=2, logs_days=7, temporaries_hours=24)
RUN = "1b0d3c1e-7a55-4f0e-9b7b-0d2c1c9f0001"


def put(path: Path, days: float) -> Path:
    """A file that was written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    stamp = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (stamp, stamp))
    return path


def found(home: Path, known: set[str] | None = None) -> dict[str, str]:
    """What would go, by path below the home."""
    everything = leftovers(Stores(home), SETTINGS, NOW, lambda run_id: run_id in (known or set()))
    return {str(leftover.path.relative_to(home)): leftover.kind for leftover in everything}


def test_old_reports_go_but_the_newest_of_each_kind_and_those_that_are_named(tmp_path):
    stores = Stores(tmp_path)
    drift = stores.reports / "drift"
    for number in range(6):
        put(drift / f"m-{number}.html", 40 + number)
        put(drift / f"m-{number}.png", 40 + number)
    put(stores.reports / "quality" / "only.html", 400)
    stores.drift.mkdir(parents=True)
    (stores.drift / "m.json").write_bytes(msgspec.json.encode({"html": str(drift / "m-5.html"), "plot": None}))
    gone = found(tmp_path)
    below = "monitoring/reports/drift"
    assert gone == {
        **{f"{below}/m-{n}.html": REPORT for n in (2, 3, 4)},
        **{f"{below}/m-{n}.png": REPORT for n in (2, 3, 4, 5)},
    }


def test_old_logs_output_of_forgotten_runs_and_temporaries_go(tmp_path):
    put(tmp_path / "logs" / "serving.log.2026-11-01", 20)
    put(tmp_path / "logs" / "serving.log", 1)
    put(tmp_path / "dagster" / "storage" / RUN / "compute_logs" / "a.out", 20)
    long_ago = (NOW - timedelta(days=20)).timestamp()
    os.utime(tmp_path / "dagster" / "storage" / RUN, (long_ago, long_ago))
    put(tmp_path / "runs" / ".timings.json.abc.tmp", 2)
    put(tmp_path / "runs" / ".held.json.abc.tmp", 0.1)
    assert found(tmp_path) == {
        "logs/serving.log.2026-11-01": LOG,
        f"dagster/storage/{RUN}": OUTPUT,
        "runs/.timings.json.abc.tmp": TEMPORARY,
    }
    assert OUTPUT not in found(tmp_path, {RUN}).values()
    assert remove(leftovers(Stores(tmp_path), SETTINGS, NOW, lambda _: False)) == []
    assert found(tmp_path) == {}
    assert (tmp_path / "logs" / "serving.log").is_file()
    assert not (tmp_path / "dagster" / "storage" / RUN).exists()


PLACES = st.sampled_from(
    [
        "lake/bronze/candles/instrument=A/session=2021-03-01/.x.tmp",
        "lake/bronze/news/old.json.gz",
        "lake/gold/features/session=2021-03-01/part.parquet",
        "bundles/m/1/model.onnx",
        "mlflow/mlflow.db",
        "serving/predictions/predictions.db",
        "serving/.state.tmp",
        "dagster/history/runs.db",
        "feast/online.db",
        "monitoring/trading.db",
        "config/instruments.yaml",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PLACES, st.floats(min_value=0, max_value=4000)), max_size=12))
def test_what_is_not_a_leftover_stays_whatever_its_age(tmp_path_factory, files):
    home = tmp_path_factory.mktemp("home")
    for place, days in files:
        put(home / place, days)
    assert found(home) == {}


def test_links_are_not_followed(tmp_path):
    outside = put(tmp_path / "outside" / "precious.log", 100)
    home = tmp_path / "home"
    home.mkdir()
    (home / "logs").symlink_to(outside.parent)
    assert found(home) == {}


def test_a_file_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    put(tmp_path / "logs" / "old.log", 20)
    (one,) = leftovers(Stores(tmp_path), SETTINGS, NOW)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    (problem,) = remove([one])
    assert problem == f"{one.path}: Permission denied. Mend its permissions, or remove it by hand."


@pytest.mark.parametrize("dry", [True, False])
def test_the_job_removes_and_a_dry_run_only_lists(tmp_path, monkeypatch, dry):
    configuration = configuration_of(write_config(tmp_path / "config"), monkeypatch)
    path = put(tmp_path / "logs" / "old.log", 4000)
    with dg.DagsterInstance.ephemeral() as instance:
        platform = Platform(tmp_path, configuration, instance)
        config = dg.RunConfig(ops={"platform__tidiness": CleanUpConfig(dry_run=dry)})
        done = platform.definitions.resolve_job_def(JOB).execute_in_process(instance=instance, run_config=config)
    (made,) = done.get_asset_materialization_events()
    metadata = made.step_materialization_data.materialization.metadata
    assert "logs/old.log" in str(metadata["removed"].value)
    assert metadata["problems"].value == ["none"]
    assert path.exists() is dry
