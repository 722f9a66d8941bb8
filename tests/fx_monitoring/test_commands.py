"""fx health and fx slo: what is well, why not, what to do; and the exit codes that scripts go by."""

import json
from datetime import UTC, datetime

import pytest
import typer
from typer.testing import CliRunner

from fx_assets.configuration.automation import Slo
from fx_assets.lake import Lake
from fx_monitoring.cli import register
from fx_monitoring.health.tiers import Tier, verdict, write_health
from fx_monitoring.slo.budget import level
from fx_monitoring.slo.runs import Missed
from fx_monitoring.slo.store import Document, State, write
from fx_serving.client.home import Stores

AT = datetime(2022, 3, 4, 22, tzinfo=UTC)
WELL = Tier("memory", "GREEN", 16.0, "YELLOW from 85, RED from 95", "16 % is taken")
NEAR = Tier("sharpe", "YELLOW", 0.4, "YELLOW up to 1", "Sharpe ratio 0.40", "Wait for more trades.")
BAD = Tier("drift", "RED", None, None, "move_60m: action retrain", "Open the drift report.")


@pytest.fixture
def stores(tmp_path, monkeypatch) -> Stores:
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    return Stores(tmp_path)


def call(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80", "NO_COLOR": "1"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_home_without_a_verdict_says_who_makes_it(stores):
    code, said = call("health")
    assert code == 1
    assert said.count("the job `monitor` makes it") == 2
    assert json.loads(call("health", "--json")[1]) == {"quant_health": None, "infrastructure_health": None}


@pytest.mark.parametrize(("tiers", "code"), [([WELL], 0), ([WELL, NEAR], 0), ([WELL, NEAR, BAD], 1)])
def test_the_worst_tier_comes_first_with_its_remedy_and_red_is_code_1(stores, tiers, code):
    write_health(stores.health, verdict(tiers, AT, "2022-03-03"))
    write_health(stores.infrastructure, verdict([WELL], AT))
    found, said = call("health")
    assert found == code
    lines = said.splitlines()
    worst = tiers[-1]
    assert lines[0] == f"quant_health is {worst.status}  (session 2022-03-03, at 2022-03-04 22:00 UTC)"
    assert lines[1].startswith(f"  {worst.status:6} {worst.name}: {worst.why}")
    assert ("do: " + worst.remedy in lines[2]) is bool(worst.remedy)
    assert json.loads(call("health", "--json")[1])["quant_health"]["status"] == worst.status


def test_signals_of_the_newest_session_or_of_the_one_asked_for(stores):
    code, said = call("signals")
    assert (code, "Start the job signal_validation_nightly" in said) == (1, True)
    row = {
        "model": "move_60m",
        "source": "service",
        "instrument": "all",
        "answers": 100,
        "known": 96,
        "hit_rate": 0.635,
    }
    row |= {"signals": 70, "trades": 44, "won": 20, "net": -0.0007, "open": 4}
    lake = Lake(stores.lake)
    for session, notes in (("2022-03-02", ["move_60m: no answers by batch"]), ("2022-03-03", [])):
        record = {"session": session, "at": AT.isoformat(), "rows": [row] if not notes else [], "notes": notes}
        path = f"monitoring/signal_validation/session={session}/record.json"
        lake.store.write(path, json.dumps(record).encode())
    said = call("signals")[1]
    assert "signals of session 2022-03-03" in said
    assert [cell.strip() for cell in said.splitlines()[-2].split("│")[1:-1]] == [
        "move_60m", "service", "all", "96 of 100", "63.5%", "70", "20 of 44", "-7.00", "4",
    ]  # fmt: skip
    assert call("signals", "--session", "2022-03-02") == (0, "move_60m: no answers by batch\n")
    code, said = call("signals", "--session", "2021-01-01")
    assert (code, "There are 2022-03-02 to 2022-03-03" in said) == (1, True)
    assert json.loads(call("signals", "--json")[1])["session"] == "2022-03-03"


def test_service_levels_name_the_runs_that_missed_them(stores):
    assert "The sensor service_levels writes it" in call("slo")[1]
    late = Missed("0123456789", "nightly_close", "nightly_close", "took 130 min, more than 120", AT)
    slo = Slo(target=0.99, rows=("nightly_close",))
    write(stores, State(), Document(AT, [level("data", slo, {"2022-03-04T21": (9, 1)}, [late], AT)]))
    code, said = call("slo")
    assert code == 1
    assert "exhausted" in said
    assert "2022-03-04 22:00 UTC  nightly_close  nightly_close: took 130 min, more than 120  run 01234567" in said
    assert "01234567" not in call("slo", "--limit", "0")[1]
    assert json.loads(call("slo", "--json")[1])["rows"][0]["missed"][0]["row"] == "nightly_close"
    write(stores, State(), Document(AT, [level("data", slo, {"2022-03-04T21": (9, 0)}, [], AT)]))
    code, said = call("slo")
    assert (code, "no run of these rows was late or failed" in said) == (0, True)
