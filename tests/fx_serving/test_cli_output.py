"""What the `fx` command prints fits into 80 columns, with ids, times and states whole."""

import io

import pytest
from rich.console import Console

from fx_serving import cli_output
from fx_serving.cli_common import age_in_words, in_words

ID = "3f2a9c1b2d3e"
WHY = "errors: 40 of 200 requests failed, which is above the limit of 5 % and above the control group's [1 of 200]"


@pytest.fixture
def shown(monkeypatch):
    """What a function of cli_output prints on a terminal of 80 columns."""

    def show(name: str, answer) -> str:
        out = io.StringIO()
        monkeypatch.setattr(cli_output, "console", Console(width=80, file=out))
        getattr(cli_output, name)(answer)
        return out.getvalue()

    return show


def test_output_that_is_no_terminal_is_wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli_output.wide_console().width == 140


def test_the_list_of_rollouts(shown):
    rollout = {
        "id": ID,
        "model": "move_60m",
        "version": "20260304",
        "state": "rolled_back",
        "weight": 12.5,
        "created_at": "2022-03-04T21:30:59Z",
        "reason": WHY,
    }
    said = shown("rollouts", [rollout])
    for word in (ID, "rolled_back", "2022-03-04 21:30", "12.5"):
        assert word in said
    assert f"{ID}: {WHY}" in " ".join(said.split())


def test_predictions_of_many(shown):
    answer = {
        "instrument": "GBP_USD",
        "label": "no_move",
        "prediction": 0.4321,
        "model": "move_60m",
        "model_version": "20260304",
        "slot": "green",
        "feature_age_s": 60.0,
        "prediction_id": f"{'5d' * 16}:GBP_USD",
    }
    problem = "features market_features/XAU_USD: stale: the newest row is of 2022-03-04, 148370000 s old; [limit] 60 s."
    refused = {"instrument": "XAU_USD", "error": {"status": 503, "detail": problem}}
    said = shown("predictions", {"predictions": [answer, refused]})
    assert f"GBP_USD  prediction id {'5d' * 16}:GBP_USD\n" in said
    assert "0.4321" in said
    told = " ".join(said.split())
    assert "XAU_USD: features market_features/XAU_USD: stale: the newest row is of 2022-03-04, 4.7 years old; [" in told
    assert "set FX_CLOCK" in told


def test_the_audit_trail(shown):
    record = {
        "seq": 42,
        "at": "2022-03-04T21:30:59.123456Z",
        "actor": "desk",
        "model": "move_60m",
        "rollout_id": ID,
        "what": "rolled_back",
        "why": WHY,
    }
    said = shown("audit", [record, record | {"model": "", "rollout_id": "", "what": "token_created"}])
    assert f"   42  2022-03-04 21:30:59  rolled_back  move_60m  rollout {ID}  by desk\n" in said
    assert "   42  2022-03-04 21:30:59  token_created  by desk\n" in said
    assert " ".join(said.split()).count(WHY) == 2


def test_tokens(shown):
    made = {"id": ID, "name": "n" * 64, "role": "operate", "rate_per_s": 2.5, "created_at": "2022-03-04T21:30:59+00:00"}
    said = shown("tokens", [made | {"revoked_at": None}, made | {"revoked_at": "2022-03-05T10:00:00+00:00"}])
    assert said.count(ID) == 2
    assert "since 2022-03-04 21:30" in said
    assert "revoked 2022-03-05 10:00" in said
    assert said.count("n") >= 128, "folded, not cut"
    assert "fx token create" in " ".join(shown("tokens", []).split())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(40, "40 s"), (720, "12 min"), (18_000, "5 h"), (45 * 86_400, "45 days"), (148_370_000, "4.7 years")],
)
def test_ages_in_words(seconds, words):
    assert age_in_words(seconds) == words


def test_only_an_absurd_age_points_to_the_clock():
    stale = "http://x: HTTP 503: features v/GBP_USD: stale: the newest row at T is of T, {} s old; the limit is 60 s."
    assert "FX_CLOCK" not in in_words(stale.format(7300))
    assert "2 h old; the limit" in in_words(stale.format(7300))
    assert "set FX_CLOCK (docs/configuration.md)" in in_words(stale.format(31 * 86_400))
    assert in_words("it is 99999999 s old") == "it is 99999999 s old"
