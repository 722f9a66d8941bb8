"""deploy/dagster.yaml and workspace.yaml are what this version of Dagster reads."""

import shutil
from pathlib import Path

import yaml
from dagster import DagsterInstance
from dagster._core.instance.config import PoolGranularity
from dagster._core.run_coordinator import QueuedRunCoordinator

from fx_assets.runs.launcher import HostRunLauncher

ROOT = Path(__file__).resolve().parents[2]


def test_local_instance_loads_with_what_the_file_says(tmp_path):
    shutil.copy(ROOT / "deploy" / "dagster.yaml", tmp_path)
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.nux_enabled is False
        assert instance.freshness_enabled is True
        assert instance.run_retries_enabled is True
        assert instance.run_retries_max_retries == 2
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        assert instance.run_monitoring_enabled is True
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 60
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert isinstance(instance.run_launcher, HostRunLauncher)
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 2
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.pool_config.pool_granularity == PoolGranularity.OP
        assert instance.storage_directory().startswith(str(tmp_path))


def test_workspace_names_the_two_code_locations():
    locations = [entry["python_module"] for entry in yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]]
    assert locations == [
        {"module_name": "fx_assets.definitions", "location_name": "fx_assets"},
        {"module_name": "fx_monitoring.definitions", "location_name": "fx_monitoring"},
    ]
