"""fx models study on a small file: the reports say the same figures, and the same files give the same bytes."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

import fx_assets
from tests.fx_assets.small import MODELS, changed, write_config

SAMPLE = Path(fx_assets.__file__).parent / "sample"
TRADING = [
    {"gate": "sharpe_net", "figure": "backtest.sharpe_net.value", "op": ">", "threshold": 2, "why": "it must pay"},
    {"gate": "regression", "figure": "champion.regression.auc.high", "op": ">=", "threshold": 0, "why": "no champion"},
]


@pytest.fixture
def files(tmp_path, monkeypatch, home) -> list[Path]:
    """Two files of 3,600 bars, one with bid and ask; and a configuration of two small models."""
    models = changed(
        MODELS,
        models__way={
            **MODELS["models"]["move"],
            "label": {"kind": "direction", "horizon_minutes": 60},
            "gates": "trade",
        },
    )
    gates = {"easy": [{"gate": "data", "figure": "n", "op": ">", "threshold": 10, "why": "rows"}], "trade": TRADING}
    monkeypatch.setenv("FX_CONFIG_DIR", str(write_config(tmp_path / "config", models=models, gates=gates)))
    paths = []
    for symbol in ("GBP_USD", "USD_JPY"):
        frame = pd.read_parquet(SAMPLE / f"{symbol}_H1.parquet").iloc[:3600]
        if symbol == "GBP_USD":
            frame = frame.assign(bid_close=frame["close"] - 5e-5, ask_close=frame["close"] + 5e-5)
        paths.append(tmp_path / f"{symbol.replace('_', '')}_H1.csv")
        frame.to_csv(paths[-1], index=False)
    return paths


def test_the_study_of_two_models_is_written_in_three_forms(call, files, tmp_path, home):
    out = tmp_path / "out"
    code, said = call("models", "study", *files, "--out", out)
    assert code == 0, said
    assert {p.name for p in out.iterdir()} >= {"move.md", "move.html", "way.md", "way.html", "study.json"}
    assert not home.exists()
    found = json.loads((out / "study.json").read_text())
    move, way = found["studies"]["move"], found["studies"]["way"]
    assert [f["instrument"] for f in found["files"]] == ["GBP_USD", "USD_JPY"]
    assert len(move["figures"]["folds"]) == 2
    assert way["verdict"]["missed"][0] == "sharpe_net"
    assert "regression" not in [
        gate["name"] for gate in way["verdict"]["gates"]
    ]  # there is no champion to regress from
    assert {"leak_random_labels", "leak_future_feature"} <= {gate["name"] for gate in move["verdict"]["gates"]}
    assert move["figures"]["backtest"]["cost_source"] == "recorded: GBP_USD; typical: USD_JPY"
    assert move["sentences"][0].startswith(("It beats", "It does not beat"))
    assert "0.01 AUC" in move["sentences"][0]
    for name, study in found["studies"].items():
        page, text = (out / f"{name}.html").read_text(), (out / f"{name}.md").read_text()
        assert study["sentences"][0] in said
        auc = f"{study['figures']['auc']['value']:.4f}"
        for fold in study["figures"]["folds"]:
            assert f"{fold['auc']:.4f}" in text
        assert auc in page
        assert auc in text
        assert "http" not in page.replace("http://www.w3.org", "")


def test_the_same_files_give_the_same_bytes(call, files, tmp_path):
    for name in ("a", "b"):
        code, said = call("models", "study", files[0], "--model", "way", "--out", tmp_path / name)
        assert code == 0, said
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_each_instrument_by_itself_with_more_folds_and_another_horizon(call, files, tmp_path):
    options = ("--each", "--folds", "3", "--horizon-bars", "2", "--model", "way", "--out", tmp_path / "o")
    code, said = call("models", "study", *files, *options)
    assert code == 0, said
    found = json.loads((tmp_path / "o" / "study.json").read_text())["studies"]
    assert sorted(found) == ["way_GBP_USD", "way_USD_JPY"]
    assert all(len(study["figures"]["folds"]) == 3 for study in found.values())
    assert found["way_USD_JPY"]["figures"]["backtest"]["cost_source"] == "typical"
    assert found["way_GBP_USD"]["label"] != "direction_60m"


def test_bad_requests_are_refused_in_words_and_nothing_is_written(call, files, tmp_path):
    out = tmp_path / "o"
    for arguments, words in [
        ([tmp_path / "GBPUSD_gone.csv"], "no such file"),
        ([tmp_path / "mine.csv"], "the name does not tell the instrument"),
        ([files[0], "--model", "nobody"], "--model nobody: is not in models.yaml. There are move, way."),
        ([files[0], "--minutes", "45"], "45 minutes"),
    ]:
        code, said = call("models", "study", *arguments, "--out", out)
        assert (code, words in " ".join(said.split())) == (1, True), said
    assert not out.exists()


def test_a_model_that_follows_another_is_refused_only_when_it_is_asked_for(call, files, tmp_path, monkeypatch):
    path = tmp_path / "config" / "models.yaml"
    models = yaml.safe_load(path.read_text())
    label = {"kind": "meta", "timeout_bars": 4, "up": 1, "down": 1, "primary": "way"}
    models["models"]["second"] = {**models["models"]["way"], "label": label, "deploy": False}
    path.write_text(yaml.safe_dump(models))
    code, said = call("models", "study", files[0], "--model", "second", "--out", tmp_path / "o")
    assert code == 1
    assert "follows the forecasts of way" in " ".join(said.split())
    code, said = call("models", "study", files[0], "--out", tmp_path / "o")
    assert code == 0, said
    assert sorted(json.loads((tmp_path / "o" / "study.json").read_text())["studies"]) == ["move", "way"]
