"""fx automation: the list of a home in which nothing has run, and the clean-up."""

import json
import os

import pytest

from fx_assets.configuration.automation import load_automation


def test_every_row_is_listed_with_its_state(call):
    code, said = call("automation")
    assert code == 0, said
    for name in load_automation().rows:
        assert f" {name} " in said
    lines = {line.split("│")[1].strip(): line for line in said.splitlines() if line.count("│") > 4}
    assert "not here: nothing is live" in lines["live"]
    assert "not here: no archive" in lines["archive_months"]
    assert "part of live" in lines["news"]
    assert "off (cadence weekly)" in lines["daily_train"]
    assert "off (automation.yaml)" in lines["paper_trade_core"]
    assert "│ on " in lines["monitor"]
    assert "training cadence: weekly" in said


def test_programs_get_every_row(call):
    rows = {row["row"]: row for row in json.loads(call("automation", "--json")[1])}
    assert set(rows) == set(load_automation().rows)
    assert (rows["monitor"]["state"], rows["monitor"]["job"], rows["monitor"]["sla_minutes"]) == ("on", "monitor", 10)


@pytest.mark.parametrize(
    ("columns", "shown", "left_out"), [(80, "last run", "when"), (130, "when", "owner"), (180, "owner", "no heading")]
)
def test_a_terminal_gets_the_columns_that_it_has_room_for(call, monkeypatch, columns, shown, left_out):
    from rich.console import Console

    terminal = Console(width=columns, force_terminal=True, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: terminal)
    code, said = call("automation")
    assert code == 0, said
    lines = said.partition("training cadence")[0].splitlines()
    assert max(map(len, lines)) <= columns
    heading = next(line for line in lines if " state " in line)
    assert shown in heading
    assert left_out not in heading


def test_one_row_is_shown_and_a_part_by_what_it_is_a_part_of(call):
    code, said = call("automation", "show", "weekly_train")
    assert code == 0, said
    assert "Retrains each model for the newest session" in said
    assert "when: 0 10 * * 6" in said
    assert "no tick yet" in said
    assert "state: part of live" in call("automation", "show", "candles")[1]
    assert json.loads(call("automation", "show", "drift", "--json")[1])["ticks"] == []


def test_a_cadence_that_is_not_chosen_is_told_how_it_is(call, home):
    code, said = call("automation", "on", "four_hourly_train")
    assert code == 1
    assert f"Write `training_cadence: four_hourly` into {home / 'config' / 'automation.yaml'}" in said
    assert "'live' cannot be switched: nothing is live" in call("automation", "on", "live")[1]


@pytest.mark.parametrize("dry", [True, False])
def test_the_clean_up_says_what_goes(call, home, dry):
    path = home / "logs" / "old.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12345")
    os.utime(path, (0, 0))
    code, said = call("automation", "clean-up", *(["--dry-run"] if dry else []))
    assert code == 0, said
    assert f"log: {path}" in said
    assert f"1 files and folders {'would be removed' if dry else 'removed'}" in said
    assert path.exists() is dry
