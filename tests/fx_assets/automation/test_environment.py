"""The environment check: what it finds, when it is due, and that trading steps refuse while it fails."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from fx_assets.automation.environment_check import JOB, KEY, not_due, pool_findings, service_finding
from fx_assets.configuration import load_configuration
from fx_assets.runs.pools import set_limits
from fx_assets.stack import examine
from fx_serving.client.environment import Finding, blocked, result_path, write_result
from fx_serving.client.home import Stores
from tests.fx_assets.small import MODELS, Platform, changed, configuration_of, write_config

CRON, ZONE = "0 16 * * 0", "America/New_York"
SUNDAY = datetime(2026, 11, 15, 21, 0, tzinfo=UTC)  # 16:00 in New York


@pytest.fixture
def stores(tmp_path) -> Stores:
    return Stores(tmp_path)


def test_a_failed_check_blocks_with_its_remedy_until_one_passes(stores):
    assert blocked(stores) is None
    write_result(stores, [Finding(True, "disk"), Finding(False, "pool api has no slot", "Give it one")], SUNDAY)
    words = blocked(stores) or ""
    assert "of 2026-11-15T21:00:00Z failed" in words
    assert "pool api has no slot: Give it one" in words
    assert "environment_check" in words
    write_result(stores, [Finding(True, "disk")])
    assert blocked(stores) is None


@pytest.mark.parametrize("content", [b"{", b'{"at": "\xff"}', b"[]"])
def test_a_result_that_cannot_be_read_blocks_until_the_next_check(stores, content):
    """A failed check whose file was damaged must not let anybody trade."""
    write_result(stores, [])
    result_path(stores).write_bytes(content)
    words = blocked(stores) or ""
    assert f"{result_path(stores)} cannot be read" in words
    assert "The next check writes it anew" in words
    assert not_due(stores, CRON, ZONE, SUNDAY + timedelta(hours=20)) is None, "and is made within half an hour"
    write_result(stores, [])
    assert blocked(stores) is None


@pytest.mark.parametrize(
    ("checked", "passed", "at", "told"),
    [
        (None, True, SUNDAY, None),  # the week's own tick
        (None, True, SUNDAY + timedelta(hours=20), "the first check is made at the next tick"),
        (SUNDAY, True, SUNDAY + timedelta(hours=20), "the check of 2026-11-15 21:00 UTC passed"),
        (SUNDAY, True, SUNDAY + timedelta(days=7), None),
        (SUNDAY, False, SUNDAY + timedelta(minutes=30), None),  # again while it fails
        (SUNDAY, True, SUNDAY + timedelta(days=7, hours=9), None),  # it was missed: the platform did not run
    ],
)
def test_when_it_is_due(stores, checked, passed, at, told):
    if checked is not None:
        write_result(stores, [Finding(passed, "disk", "free some")], checked)
    found = not_due(stores, CRON, ZONE, at)
    assert found is None if told is None else told in (found or "")


def test_a_service_that_is_away_is_named(stores, monkeypatch):
    monkeypatch.setenv("FX_SERVING_URL", "http://127.0.0.1:1")
    found = service_finding(stores)
    assert not found.good
    assert "http://127.0.0.1:1 does not answer" in found.what
    assert found.remedy == "Start it: fx up"


def test_pools_are_looked_at(tmp_path, monkeypatch):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        set_limits(instance)
        found = {f.what: f.good for f in pool_findings(instance, load_configuration())}
        assert found["pool api"]
        assert found["pool trading"]
        assert all(found.values())
        instance.event_log_storage.set_concurrency_slots("api", 0)
        assert {f.what for f in pool_findings(instance, load_configuration()) if not f.good} == {"pool api has no slot"}
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    (tmp_path / "automation.yaml").write_text("rows: {drift: {pool: swimming}}\n")
    with dg.DagsterInstance.ephemeral() as instance:
        (bad,) = [f for f in pool_findings(instance, load_configuration()) if not f.good]
    assert bad.what == "automation.yaml: there is no pool 'swimming'"


def test_the_job_keeps_what_it_found_and_its_check_fails_with_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setattr(examine, "PACKAGES", ("dagster",))
    models = changed(MODELS, models__move__deploy=False)
    configuration = configuration_of(write_config(tmp_path / "config", models=models), monkeypatch)
    with dg.DagsterInstance.ephemeral() as instance:
        platform = Platform(tmp_path, configuration, instance)
        job = platform.definitions.resolve_job_def(JOB)
        done = job.execute_in_process(instance=instance)
        (check,) = done.get_asset_check_evaluations()
        assert (check.asset_key, check.passed) == (KEY, True)
        assert blocked(Stores(tmp_path)) is None
        monkeypatch.setattr(examine, "PACKAGES", ("dagster", "a-package-nobody-has"))
        (check,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert not check.passed
    assert "a-package-nobody-has is not installed" in (blocked(Stores(tmp_path)) or "")
