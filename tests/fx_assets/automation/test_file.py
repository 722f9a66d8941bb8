"""automation.yaml: what a mistake says, how a user's file is laid over the shipped one, and cron expressions."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._utils.schedules import is_valid_cron_string
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import SHIPPED, load_configuration
from fx_assets.configuration.automation import FILE, every, load_automation
from fx_assets.configuration.cron import cron_problem
from fx_assets.errors import ConfigError


@pytest.fixture
def own(tmp_path, monkeypatch):
    """own(tree) writes a user's file and loads the table."""
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))

    def load(tree: Any):
        (tmp_path / FILE).write_text(tree if isinstance(tree, str) else yaml.safe_dump(tree, sort_keys=False))
        return load_automation()

    return load


def row(**keys: Any) -> dict[str, Any]:
    return {"rows": {"drift": keys}}


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (row(cronn="* * * * *"), ["rows.drift.cronn: unknown key (value '* * * * *')", "Remove it or mend"]),
        (row(cron="61 * * * *"), ["rows.drift.cron: '61 * * * *': '61' is not a minute (0 to 59)", "such as"]),
        (row(cron="* * *"), ["rows.drift.cron: '* * *': has 3 fields"]),
        (row(cron="0 0 30 2 *"), ["rows.drift.cron: '0 0 30 2 *': no such month has such a day"]),
        (row(timezone="Mars/Olympus"), ["rows.drift.timezone: no such time zone", "(value 'Mars/Olympus')"]),
        (row(session="next"), ["rows.drift.session: 'next' is not one of 'none', 'running'"]),
        (row(owner="Me!"), ["rows.drift.owner", "(value 'Me!'). Change it"]),
        (row(sla_minutes=0), ["rows.drift.sla_minutes", "greater than 0 (value 0). Change it"]),
        (row(enabled="perhaps"), ["rows.drift.enabled", "(value 'perhaps'). Change it"]),
        (row(sensor="other"), ["rows.drift: a sensor has every_seconds and no cron. Remove cron"]),
        (row(every_seconds=5), ["rows.drift: a job has cron and no every_seconds"]),
        (row(done_by="6 am"), ["rows.drift.done_by: not a time of day. Write it as '06:00' (value '6 am')"]),
        ({"rows": {"mine": {"does": "it", "cron": "* * * * *"}}}, ["rows.mine: job and cron are needed"]),
        ({"rows": {"features": {"enabled": False}}}, ["rows.features: enabled: false has no effect on a part of live"]),
        ({"training_cadence": "hourly"}, ["training_cadence: 'hourly' is not one of 'weekly', 'daily'"]),
        ({"slo": {"data": {"target": 1.5}}}, ["slo.data.target", "less than 1 (value 1.5)"]),
        ({"slo": {"data": {"rows": ["nobody"]}}}, ["slo.data.rows: 'nobody' is not a row"]),
        ({"slo": {"data": {"rows": ["heartbeat"]}}}, ["slo.data.rows: 'heartbeat' has no job"]),
        ("rows:\n  drift: {enabled: true}\n  drift: {enabled: false}\n", ["'drift' is there twice", "line 3"]),
        ("rows: [1\n", ["not valid YAML", "Mend the line named above"]),
    ],
)
def test_a_mistake_is_told_with_file_row_field_value_and_remedy(own, tmp_path, tree, told):
    with pytest.raises(ConfigError) as caught:
        own(tree)
    words = str(caught.value)
    assert words.startswith(str(tmp_path / FILE)), words
    for part in told:
        assert part in words, words


def test_an_own_file_says_only_what_differs(own):
    shipped = yaml.safe_load((SHIPPED / FILE).read_text())
    mine = {"does": "Mine.", "job": "monitor", "cron": "0 7 * * *"}
    found = own({"training_cadence": "daily", "rows": {"drift": {"enabled": False}, "mine": mine}})
    assert set(found.rows) == {*shipped["rows"], "mine"}
    assert found.row("drift").cron == ("10 * * * *",)
    assert not found.on("drift")
    assert found.on("monitor")
    assert (found.on("daily_train"), found.on("weekly_train")) == (True, False)
    assert load_configuration().automation is found


def test_an_edit_is_seen(own):
    assert own(row(sla_minutes=3)).row("drift").sla_minutes == 3
    assert own(row(sla_minutes=30.5)).row("drift").sla_minutes == 30.5


def test_everything_is_on_as_shipped_but_what_stands_for_another_row(monkeypatch, tmp_path):
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))  # without a file: the shipped one
    table = load_automation()
    off = {name for name in table.rows if not table.on(name)}
    assert off == {"daily_train", "four_hourly_train", "paper_trade_core"}
    assert table.training_cadence == "weekly"


def test_data_yaml_may_say_another_rhythm_of_fetching(monkeypatch, tmp_path):
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    for name in ("instruments.yaml", "models.yaml", "gates.yaml"):
        (tmp_path / name).write_text((SHIPPED / name).read_text())
    assert load_configuration().poll_seconds == 300
    (tmp_path / FILE).write_text("rows: {candles: {every_seconds: 600}}\n")
    assert load_configuration().poll_seconds == 600
    (tmp_path / "data.yaml").write_text("live: {poll_seconds: 60}\n")
    assert load_configuration().poll_seconds == 60


@pytest.mark.parametrize(
    ("seconds", "told"), [(10, "every 10 s"), (90, "every 90 s"), (300, "every 5 min"), (7200, "every 2 h")]
)
def test_rhythms_are_said_as_people_say_them(seconds, told):
    assert every(seconds) == told


def test_serving_a_job_of_any_model():
    rows = load_automation().rows
    assert rows["weekly_train"].serves("train_move_60m")
    assert not rows["weekly_train"].serves("train_")
    assert not rows["weekly_train"].serves("retrain_move")
    assert rows["drift"].serves("drift")


NUMBER = st.integers(min_value=0, max_value=70).map(str)
FIELD = st.one_of(
    st.just("*"),
    NUMBER,
    st.tuples(NUMBER, NUMBER).map("-".join),
    st.tuples(st.sampled_from(["*", "0-5", "10-70"]), NUMBER).map("/".join),
    st.lists(NUMBER, min_size=1, max_size=3).map(",".join),
)


@given(st.lists(FIELD, min_size=5, max_size=5).map(" ".join))
def test_what_passes_here_dagster_can_tick_by(expression):
    """The other way round it may refuse more: spellings that nobody needs."""
    if cron_problem(expression) is None:
        assert is_valid_cron_string(expression), expression


def test_the_document_has_the_table_as_it_is():
    import importlib.util

    path = Path(__file__).parents[3] / "docs" / "generate_automation.py"
    spec = importlib.util.spec_from_file_location("generate_automation", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.render() == module.TARGET.read_text(encoding="utf-8"), "Run: python docs/generate_automation.py"
