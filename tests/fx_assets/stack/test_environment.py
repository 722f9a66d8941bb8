"""The environment of a home's processes: whose clock wins, and where Dagster's settings come from."""

from datetime import date

import pytest
import yaml

from fx_assets.configuration import Configuration, load_configuration
from fx_assets.stack import environment as module
from fx_assets.stack.environment import dagster_home, environment, replay_clock, use_replay_clock
from fx_serving.client import clock


@pytest.fixture(autouse=True)
def no_clock(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "")  # so that what a test sets is undone
    monkeypatch.delenv("FX_CLOCK")


def ending(end: date | None) -> Configuration:
    found = load_configuration()
    sessions = found.instruments.sessions.model_copy(update={"end": end})
    return found.model_copy(update={"instruments": found.instruments.model_copy(update={"sessions": sessions})})


@pytest.mark.parametrize(
    ("end", "instant"),
    [
        (date(2022, 3, 3), "2022-03-04T22:00:00Z"),  # 17:00 New York in winter
        (date(2021, 7, 1), "2021-07-02T21:00:00Z"),  # and in summer
        (date(2022, 3, 4), "2022-03-04T22:00:00Z"),  # a Friday: no session starts, Thursday's is the last
        (date(2022, 3, 5), "2022-03-04T22:00:00Z"),
        (date(2022, 3, 13), "2022-03-14T21:00:00Z"),  # the day the clocks changed
        (None, None),
    ],
)
def test_time_stands_still_at_the_end_of_the_data(end, instant):
    assert replay_clock(ending(end)) == instant


def test_the_users_clock_wins(tmp_path, monkeypatch):
    assert environment(tmp_path, ending(date(2022, 3, 3)))["FX_CLOCK"] == "2022-03-04T22:00:00Z"
    mine = "2022-02-01T10:00:00Z@2026-11-21T10:00:00Z"
    monkeypatch.setenv("FX_CLOCK", mine)
    assert environment(tmp_path, ending(date(2022, 3, 3)))["FX_CLOCK"] == mine
    assert environment(tmp_path, ending(None))["FX_CLOCK"] == mine
    use_replay_clock(ending(date(2022, 3, 3)))
    assert clock.now().year == 2022
    assert clock.now().month == 2


def test_a_running_market_has_the_wall_clock(tmp_path):
    assert "FX_CLOCK" not in environment(tmp_path, ending(None))
    use_replay_clock(ending(None))
    assert clock.now().year > 2022


def test_every_process_is_pointed_at_the_home_and_told_to_report_nothing(tmp_path):
    found = environment(tmp_path, load_configuration(), "http://127.0.0.1:8701")
    assert found["FX_HOME"] == str(tmp_path)
    assert found["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert found["FX_SERVING_URL"] == "http://127.0.0.1:8701"
    assert found["DO_NOT_TRACK"] == "1"
    assert "FX_SERVING_URL" not in environment(tmp_path, load_configuration())


def test_instance_settings_are_put_in_place_once(tmp_path):
    folder = dagster_home(tmp_path)
    settings = folder / "dagster.yaml"
    assert settings.read_text() == module.INSTANCE.read_text()
    settings.write_text("telemetry: {enabled: false}\n# mine\n")
    dagster_home(tmp_path)
    assert "# mine" in settings.read_text()


def test_a_home_of_an_earlier_version_gets_what_writes_logs_and_launches_runs_and_keeps_the_rest(tmp_path):
    settings = dagster_home(tmp_path) / "dagster.yaml"
    shipped = module.INSTANCE.read_text()
    earlier = "\n\n".join(p for p in shipped.split("\n\n") if not p.startswith(("python_logs:", "run_launcher:")))
    assert set(yaml.safe_load(shipped)) - set(yaml.safe_load(earlier)) == {"python_logs", "run_launcher"}
    settings.write_text(f"{earlier}# mine\n")
    dagster_home(tmp_path)
    assert yaml.safe_load(settings.read_text()) == yaml.safe_load(shipped)
    assert "# mine" in settings.read_text()
    both = "python_logs: {}\nrun_launcher: {}\n"
    for own in (both, "{telemetry: {enabled: false}}\n", "storage: [", "- a list\n"):
        settings.write_text(own)
        dagster_home(tmp_path)
        assert settings.read_text() == own, "its own, or nothing that it can be added to"


def test_an_installation_without_the_checkout_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INSTANCE", tmp_path / "nowhere" / "dagster.yaml")
    with pytest.raises(module.FxError, match=r"not found\. Run fx from a checkout of the project"):
        dagster_home(tmp_path)


def test_a_friday_is_a_session_where_something_trades_all_week():
    found = ending(date(2022, 3, 4))
    coin = found.instruments.instruments["GBP_USD"].model_copy(update={"calendar": "always"})
    instruments = found.instruments.model_copy(update={"instruments": {"BTC_USD": coin}})
    assert replay_clock(found.model_copy(update={"instruments": instruments})) == "2022-03-05T22:00:00Z"
