"""`fx predict` for several instruments, and with an explanation."""

import json

import pytest
from typer.testing import CliRunner

from fx_serving import cli
from tests.servers.serving import INSTRUMENTS, NAMES, Service


@pytest.fixture
def fx(service: Service, monkeypatch):
    monkeypatch.setenv("FX_SERVING_URL", service.url)
    monkeypatch.setenv("COLUMNS", "120")
    return lambda *arguments: CliRunner().invoke(cli.app, ["predict", *arguments])


def test_several_instruments_are_answered_at_once(fx):
    done = fx(*INSTRUMENTS, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["answered"] == len(INSTRUMENTS)
    assert [found["instrument"] for found in answer["predictions"]] == INSTRUMENTS
    shown = fx(*INSTRUMENTS).stdout
    assert all(name in shown for name in INSTRUMENTS)


def test_one_that_is_refused_is_named_and_the_others_are_answered(fx):
    done = fx("GBP_USD", "XAU_USD")
    assert done.exit_code == 1
    assert "GBP_USD" in done.stdout
    assert "XAU_USD" in done.stdout


def test_an_explanation_is_shown_or_why_there_is_none(fx):
    done = fx("GBP_USD", "--explain", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    if answer["explanation"] is None:
        assert answer["explanation_note"]
    else:
        assert {part["feature"] for part in answer["explanation"]["contributions"]} <= set(NAMES)


def test_what_is_for_one_instrument_is_refused_for_several(fx):
    for option in (["--slot", "blue"], ["--show-features"]):
        done = fx(*INSTRUMENTS, *option)
        assert done.exit_code == 2
        assert "one instrument" in done.output
