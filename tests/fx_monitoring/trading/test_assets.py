"""paper_trader and paper_trading as Dagster runs them."""

import json
from datetime import timedelta

import dagster as dg
import pytest
import yaml

from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.resources.record_io import RecordIOManager
from fx_assets.runs.pools import TRADING
from fx_monitoring.assets import trading
from fx_monitoring.assets.common import Shared
from fx_serving.client.clock import to_iso
from fx_serving.client.home import Stores
from tests.fx_monitoring.trading.world import HOUR, MODEL, MONDAY, SYMBOLS, World

SESSION = "2022-02-28"


@pytest.fixture
def shared(world: World) -> Shared:
    return Shared(fx_sessions(world.configuration), world.configuration, Stores(world.home), world.lake)


@pytest.fixture
def run(world: World, shared: Shared, monkeypatch):
    """run(asset name, at, config): materialize one asset at a moment of the data clock."""
    folder = world.home / "config"
    folder.mkdir()
    section = {"mode": "core", "core_instruments": list(SYMBOLS), "models": [MODEL], "source": "batch"}
    (folder / "monitoring.yaml").write_text(yaml.safe_dump({"trading": section}))
    monkeypatch.setenv("FX_CONFIG_DIR", str(folder))
    made = {asset.key.path[-1]: asset for asset in trading.build(shared)}
    resources = {
        "home": HomeResource(path=str(world.home)),
        "records_monitoring": RecordIOManager(world.lake, prefix="monitoring/"),
    }

    def materialize(name: str, at, config: dict | None = None) -> dg.ExecuteInProcessResult:
        monkeypatch.setenv("FX_CLOCK", to_iso(at))
        return dg.materialize(
            [made[name]],
            resources=resources,
            partition_key=SESSION if name == "paper_trading" else None,
            run_config={"ops": {"paper_trader": {"config": config}}} if config else None,
            raise_on_error=False,
        )

    return materialize


def metadata(result: dg.ExecuteInProcessResult) -> dict:
    event = result.get_asset_materialization_events()[0]
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def test_decisions_orders_and_fills_are_told_with_the_runs_id(world: World, run):
    world.predict(world.candles(10), 0.6)
    first = run("paper_trader", MONDAY + 2 * HOUR + timedelta(minutes=2))
    assert first.success
    assert checks(first) == {"in_time": True, "decided": True}
    told = metadata(first)
    assert (told["decisions"], told["orders"], told["fills"], told["books"]) == (2, 2, 0, 2)
    assert told["latency_s"] == 120.0
    assert "| direction_60m 3 | GBP_USD | 2022-03-01 00:00 | 0.6000 | +1 | order | 120 s | batch |" in told["decided"]
    for k in (3, 4, 5):
        run("paper_trader", MONDAY + k * HOUR + timedelta(minutes=2))
    at = MONDAY + 5 * HOUR + timedelta(minutes=7)
    result = run("paper_trading", at)
    assert result.success
    record = json.loads((world.home / f"lake/monitoring/paper_trading/session={SESSION}/record.json").read_bytes())
    assert record["figures"]["latency"]["decisions"] == 8
    assert [row["instrument"] for row in record["books"]] == list(SYMBOLS)
    assert [position["unrealised"] is not None for position in record["positions"]] == [True, True]
    assert metadata(result)["equity"].startswith("![plot](data:image/png;base64,")


def test_late_and_stale_are_warnings_and_a_closed_market_is_none(world: World, run):
    candles = world.candles(3)
    world.predict(candles, 0.6)
    late = run("paper_trader", MONDAY + 2 * HOUR + timedelta(minutes=20))
    assert checks(late) == {"in_time": False, "decided": True}
    stale = run("paper_trader", MONDAY + 9 * HOUR)
    assert checks(stale) == {"in_time": True, "decided": False}
    closed = run("paper_trader", MONDAY + 5 * 24 * HOUR)
    assert checks(closed) == {"in_time": True, "decided": True}
    assert metadata(closed)["refusals"] == 2


def test_the_mode_may_be_given_with_the_run(world: World, run):
    full = run("paper_trader", MONDAY + 5 * 24 * HOUR, {"mode": "full"})
    assert metadata(full)["books"] == 4
    assert not run("paper_trader", MONDAY + 5 * 24 * HOUR, {"mode": "halves"}).success


def test_a_session_before_anything_was_traded_has_no_figures(world: World, run):
    result = run("paper_trading", MONDAY + HOUR)
    assert result.success
    assert metadata(result)["figures"] == "nothing was traded yet"


def test_the_definitions_name_pool_job_and_partitions(shared: Shared):
    trader, figures = trading.build(shared)
    assert trader.op.pool == TRADING
    assert trader.partitions_def is None
    assert figures.partitions_def == shared.partitions
    assert [job.name for job in trading.jobs(shared)] == ["paper_trade"]
