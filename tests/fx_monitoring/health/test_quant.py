"""Each tier at its edges, and the assets over files as the other assets write them."""

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.freshness.newest import Lag
from fx_assets.lake import Lake
from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.resources.record_io import RecordIOManager
from fx_monitoring.assets import health
from fx_monitoring.assets.common import Shared
from fx_monitoring.configuration.health import Health as Policy
from fx_monitoring.health import latest_health, quant
from fx_monitoring.health.errors import Errors
from fx_monitoring.health.quant import (
    judge_data_age,
    judge_drawdown,
    judge_drift,
    judge_errors,
    judge_machine,
    judge_quality,
    judge_service,
    judge_sharpe,
    judge_slo,
)
from fx_monitoring.health.tiers import Tier, verdict, write_health
from fx_monitoring.trading.figures import Latency, Ratio, TradingFigures
from fx_serving.client.home import Stores

POLICY = Policy()
AT = datetime(2022, 3, 2, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("action", "colour"),
    [
        ("none", "GREEN"),
        ("log", "GREEN"),
        ("alert", "YELLOW"),
        ("hold", "YELLOW"),
        ("retrain", "RED"),
        ("block", "RED"),
    ],
)
def test_drift_by_its_action(action, colour):
    status = {"action": action, "level": "x", "decision": {"reasons": ["because"]}}
    tier = judge_drift({"move_60m": status}, POLICY)
    assert (tier.status, tier.why) == (colour, f"move_60m: action {action}, because")


def test_drift_of_several_models_is_the_worst_ones_and_says_it_first():
    good, bad = {"action": "none", "level": "none"}, {"action": "retrain", "level": "critical"}
    tier = judge_drift({"a": good, "b": bad, "c": None}, POLICY)
    assert tier.status == "RED"
    assert tier.why.startswith("b: action retrain, level critical; ")
    assert judge_drift({"a": good, "c": None}, POLICY).status == "YELLOW"
    assert judge_drift({"a": {"action": "none", "level": "inconclusive"}}, POLICY).status == "YELLOW"
    assert judge_drift({}, POLICY).status == "YELLOW"


@pytest.mark.parametrize(("word", "colour"), [("good", "GREEN"), ("inconclusive", "YELLOW"), ("worse", "RED")])
def test_quality_by_its_verdict(word, colour):
    assert judge_quality({"m": {"verdict": word, "reasons": ()}}, POLICY).status == colour
    assert judge_quality({"m": None}, POLICY).status == "YELLOW"


def figures(**more) -> TradingFigures:
    known = {
        "at": AT,
        "mode": "full",
        "positions": [],
        "pnl_net": 0.0,
        "pnl_gross": 0.0,
        "pnl_session": 0.0,
        "sharpe": {"all": Ratio(1.5, 0.2, 2.8, 40)},
        "max_drawdown_pct": 3.0,
        "win_rate": 0.5,
        "trades": 50,
        "trades_by_instrument": {},
        "signals_per_hour": 1.0,
        "signals_last_hour": 1,
        "enough": True,
        "min_trades": 30,
        "latency": Latency(0, 0, None, None),
        "refusals": 0,
        "last_run_at": None,
        "last_order_at": None,
    }
    return TradingFigures(**(known | more))


@pytest.mark.parametrize(
    ("ratio", "colour"),
    [
        (Ratio(1.5, 0.2, 2.8, 40), "GREEN"),
        (Ratio(1.0, -1.0, 2.8, 40), "YELLOW"),
        (Ratio(-2.0, -4.0, 0.1, 40), "YELLOW"),  # it may be luck: the interval reaches above 0
        (Ratio(-2.0, -4.0, -0.1, 40), "RED"),
        (Ratio(None, None, None, 2), "YELLOW"),
    ],
)
def test_the_sharpe_ratio_is_red_only_where_its_whole_interval_is(ratio, colour):
    assert judge_sharpe(figures(sharpe={"all": ratio}), POLICY).status == colour
    assert judge_sharpe(None, POLICY).status == "YELLOW"


def test_few_trades_make_a_good_figure_unknown_and_leave_a_bad_one_bad():
    few = figures(enough=False, trades=5)
    assert judge_sharpe(few, POLICY).status == "YELLOW"
    assert judge_sharpe(few, POLICY).why.startswith("unknown: 5 of 30 trades")
    assert judge_drawdown(few, POLICY).status == "YELLOW"
    assert judge_drawdown(figures(enough=False, trades=5, max_drawdown_pct=20.0), POLICY).status == "RED"
    assert judge_drawdown(figures(), POLICY).status == "GREEN"
    assert judge_drawdown(figures(trades=0), POLICY).status == "YELLOW"


def lag(minutes: float | None, symbol: str = "GBP_USD") -> Lag:
    return Lag(symbol, AT, AT, minutes, 75, True)


@pytest.mark.parametrize(("minutes", "colour"), [(60, "GREEN"), (75, "YELLOW"), (120, "RED"), (None, "RED")])
def test_data_age_is_the_oldest_instruments(minutes, colour):
    tier = judge_data_age([lag(0, "USD_JPY"), lag(minutes)], POLICY)
    assert tier.status == colour
    assert "GBP_USD" in tier.why
    assert judge_data_age("no gold/features", POLICY).status == "YELLOW"


def traffic(requests: int, errors: int) -> tuple[dict, dict]:
    part = {"status": "ok"}
    slot = {"requests": requests, "errors": errors}
    return {"status": "ok", "components": {"log": part}}, {"models": {"m": {"blue": slot, "green": None}}}


def test_the_service_its_parts_and_its_errors():
    assert judge_service("no answer").status == "RED"
    assert judge_service(traffic(1, 0)).status == "GREEN"
    degraded = {"status": "degraded", "components": {"log": {"status": "degraded", "reason": "disk full"}}}
    tier = judge_service((degraded, {"models": {}}))
    assert (tier.status, tier.why) == ("YELLOW", "log: disk full")
    shares = [(1000, 0, "GREEN"), (1000, 10, "YELLOW"), (1000, 50, "RED"), (19, 19, "YELLOW")]
    found = [judge_errors(Errors(n, bad, None), POLICY).status for n, bad, _ in shares]
    assert found == [colour for *_, colour in shares]
    assert judge_errors(None, POLICY).status == "YELLOW"


def test_the_least_error_budget_counts():
    rows = [
        {"name": "data", "budget_left": 0.9},
        {"name": "training", "budget_left": 0.2},
        {"name": "x", "budget_left": None},
    ]
    tier = judge_slo({"rows": rows}, POLICY)
    assert (tier.status, tier.why) == ("YELLOW", "training: 20% of the error budget left")
    assert judge_slo({"rows": [{"name": "data", "budget_left": -0.5}]}, POLICY).status == "RED"
    assert judge_slo({"rows": rows[2:]}, POLICY).status == "YELLOW"
    assert judge_slo(None, POLICY).status == "YELLOW"


def test_an_old_look_at_the_machine_says_nothing_about_now(tmp_path):
    stores = Stores(tmp_path)
    assert judge_machine(stores, AT).status == "YELLOW"
    write_health(stores.infrastructure, verdict([Tier("disk", "RED", 1.0, None, "full", "free some")], AT))
    tier = judge_machine(stores, AT + timedelta(minutes=10))
    assert (tier.status, tier.why, tier.remedy) == ("RED", "disk RED: full", "free some")
    assert judge_machine(stores, AT + timedelta(hours=2)).status == "YELLOW"


# ---- the asset ----------------------------------------------------------------------------------------------------

SESSION, BEFORE = "2022-03-01", "2022-02-28"


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """judged(session): quant_health of a session at AT, with its check's outcome."""
    monkeypatch.setenv("FX_CLOCK", AT.isoformat())
    monkeypatch.setenv("FX_SERVING_URL", "http://127.0.0.1:9")
    configuration, lake = load_configuration(), Lake(tmp_path / "lake")
    shared = Shared(fx_sessions(configuration), configuration, Stores(tmp_path), lake)
    asset = next(a for a in health.build(shared) if a.key.path[-1] == "quant_health")
    resources = {
        "home": HomeResource(path=str(tmp_path)),
        "records_monitoring": RecordIOManager(lake, prefix="monitoring/"),
    }

    def run(session: str = SESSION) -> tuple[dict, bool]:
        result = dg.materialize([asset], resources=resources, partition_key=session)
        record = json.loads((tmp_path / f"lake/monitoring/quant_health/session={session}/record.json").read_bytes())
        return record, result.get_asset_check_evaluations()[0].passed

    return run


def colours(record: dict) -> dict[str, str]:
    return {tier["name"]: tier["status"] for tier in record["tiers"]}


def test_an_empty_home_without_a_service_is_red_for_data_and_service_and_knows_nothing_else(judged, tmp_path):
    record, passed = judged()
    expected = dict.fromkeys(["drift", "quality", "drawdown", "sharpe", "slo", "infrastructure"], "YELLOW")
    assert colours(record) == {**expected, "data_age": "RED", "service": "RED", "service_errors": "YELLOW"}
    assert (record["status"], passed) == ("RED", False)
    kept = latest_health(Stores(tmp_path))
    assert kept is not None
    assert (kept.status, kept.session) == ("RED", SESSION)
    assert all(tier["remedy"] for tier in record["tiers"])


def test_a_past_session_is_judged_by_its_own_records_alone(judged, tmp_path):
    lake = Lake(tmp_path / "lake")
    found = {name: {"action": "none", "level": "none"} for name in ("move_60m", "direction_60m")}
    found["move_60m"] = {"action": "retrain", "level": "critical"}
    lake.store.write(f"monitoring/drift_report/session={BEFORE}/record.json", json.dumps(found).encode())
    judged(SESSION)
    record, passed = judged(BEFORE)
    assert colours(record) == {"drift": "RED", "quality": "YELLOW", "drawdown": "YELLOW", "sharpe": "YELLOW"}
    assert not passed
    kept = latest_health(Stores(tmp_path))
    assert kept is not None
    assert kept.session == SESSION, "an older session's verdict does not replace the newest one"


def test_fresh_data_are_green(judged, tmp_path):
    opens = pd.date_range(AT - timedelta(hours=3), AT - timedelta(hours=1), freq="h").as_unit("us")
    symbols = list(load_configuration().instruments.instruments)
    rows = pd.DataFrame(
        [{"instrument": s, "time": t, "available_at": t + timedelta(hours=1)} for s in symbols for t in opens]
    )
    Lake(tmp_path / "lake").write("gold/features", {SESSION: rows})
    assert colours(judged()[0])["data_age"] == "GREEN"


@pytest.mark.parametrize("content", [b'{"action": "\xff"}', b"{", b"[]"])
def test_damaged_files_are_named_and_yellow(judged, tmp_path, content):
    stores = Stores(tmp_path)
    monitoring = tmp_path / "monitoring"
    for path in (stores.drift / "move_60m.json", stores.quality / "move_60m.json", monitoring / "slo.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    stores.health.write_bytes(content)
    found = {tier["name"]: tier for tier in judged()[0]["tiers"]}
    for name, file in (("drift", "drift/move_60m.json"), ("quality", "quality/move_60m.json"), ("slo", "slo.json")):
        assert found[name]["status"] == "YELLOW"
        assert f"{monitoring / file}: cannot be read" in found[name]["why"]
    lake = Lake(tmp_path / "lake")
    for asset in ("drift_report", "prediction_quality"):
        lake.store.write(f"monitoring/{asset}/session={BEFORE}/record.json", content)
    for tier in judged(BEFORE)[0]["tiers"][:2]:
        assert tier["status"] == "YELLOW"
        assert f"for session {BEFORE} again" in tier["why"]


def test_a_quality_file_of_another_version_leaves_one_model_unknown(tmp_path):
    """And not the whole verdict unmade."""
    stores = Stores(tmp_path)
    stores.quality.mkdir(parents=True)
    (stores.quality / "m.json").write_bytes(b'{"rows": [{"instrument": "all", "model": "m"}]}')
    found = quant._quality(stores, Lake(tmp_path / "lake"), ["m"], "2022-03-03", True)["m"]
    assert found is not None
    assert found["verdict"] == "unknown"
    assert "missing required field" in found["reasons"][0]
