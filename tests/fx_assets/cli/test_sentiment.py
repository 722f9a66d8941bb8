"""fx sentiment: train, evaluate and score from the terminal, and mistakes told in one line."""

import json

import pandas as pd
import pytest

from tests.fx_assets.sentiment.conftest import made
from tests.servers.platform import fx


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    data = made(300, entities=True)
    path = tmp_path_factory.mktemp("labelled") / "labelled.csv.gz"
    pd.DataFrame({"title": data.texts, "entity": data.entities, "label": data.labels}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(labelled, tmp_path_factory):
    out = tmp_path_factory.mktemp("model") / "news.model"
    done = fx("sentiment", "train", labelled, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def test_training_writes_a_model_and_a_report(trained, labelled, call, tmp_path):
    out, said = trained
    assert "cross-validation: accuracy 0." in said
    assert "same rows: vader 0." in said
    assert "300 rows, 150 texts" in said
    report = json.loads((out.parent / "news.model.report.json").read_text())
    assert report["cross_validation"]["accuracy"] > 0.85
    assert report["file"] == "labelled.csv.gz"
    # Once more, in another process and folder: the same bytes.
    code, said = call("sentiment", "train", labelled, "--out", tmp_path / "again.model")
    assert code == 0, said
    assert (tmp_path / "again.model").read_bytes() == out.read_bytes()
    again = (tmp_path / "again.model.report.json").read_bytes()
    assert again == (out.parent / "news.model.report.json").read_bytes()


def test_an_evaluation_for_people_and_for_machines(trained, labelled, call):
    out, _ = trained
    code, said = call("sentiment", "evaluate", labelled)
    assert code == 0, said
    for part in ("95 % interval", "macro F1", "plain VADER on the same rows", "headlines/s", "called neutral"):
        assert part in said
    found = {}
    for scorer, model in (("vader", ()), ("lexicon", ()), ("linear", ("--model", out))):
        code, said = call("sentiment", "evaluate", labelled, "--scorer", scorer, *model, "--json")
        assert code == 0, said
        found[scorer] = json.loads(said)
        assert found[scorer]["scorer"] == scorer
        assert found[scorer]["n"] == 300
    assert found["vader"]["accuracy"] == found["lexicon"]["vader"]["accuracy"]
    # Only the trained one knows what is said of which company.
    assert found["linear"]["accuracy"] > max(found["lexicon"]["accuracy"], found["vader"]["accuracy"]) + 0.2


def test_texts_and_files_are_scored(trained, call, tmp_path):
    code, said = call("sentiment", "score", "Stocks plunge as recession fears mount")
    assert code == 0
    assert said.startswith("-0.")
    assert "negative" in said
    lines = tmp_path / "lines.txt"
    lines.write_text("Profit rises 5%\nThe board meets on Monday\n")
    code, said = call("sentiment", "score", lines)
    assert [line.split()[1] for line in said.splitlines()] == ["positive", "neutral"]
    out = tmp_path / "scored.csv"
    code, said = call("sentiment", "score", lines, "--scorer", "linear", "--model", trained[0], "--out", out)
    assert code == 0, said
    table = pd.read_csv(out)
    assert table["text"].tolist() == ["Profit rises 5%", "The board meets on Monday"]
    assert table["sentiment"].between(-1, 1).all()
    assert table["scorer"].str.startswith("linear-").all()


def test_a_transformer_that_cannot_be_had_falls_back_in_words(tmp_path):
    done = fx("sentiment", "score", "Stocks plunge", "--scorer", "finbert", "--model", tmp_path / "gone")
    assert done.returncode == 0, done.stderr
    assert "finbert cannot score: " in done.stderr
    assert "Scoring with lexicon-" in done.stderr
    assert done.stdout.startswith("-0.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("evaluate", "gone.csv"), "gone.csv: no such file. Check the path."),
        (("score", "gone.csv"), "gone.csv: no such file. Check the path."),
        (("score", "nosuch.json"), "nosuch.json: no such file. Check the path."),
        (("score", "my news.parquet"), "my news.parquet: no such file. Check the path."),
        (("score", "/"), "/: is a folder, no such file. Give a file in it."),
        (("score", "text here", "--scorer", "linear"), "--model: missing, and scorer linear needs one. Train it"),
        (
            ("score", "text here", "--scorer", "linear", "--model", "gone.model"),
            "gone.model: the sentiment model cannot",
        ),
        (("score", "text here", "--scorer", "gpt"), "--scorer: 'gpt': Input should be 'lexicon', 'linear'"),
        (("score", "text here", "--device", "tpu"), "--device: 'tpu': Input should be 'auto'"),
    ],
)
def test_a_mistake_is_one_line_with_a_remedy(call, arguments, told):
    code, said = call("sentiment", *arguments)
    assert code == 1
    assert told in said
    assert said.strip().endswith(".")
    assert "Traceback" not in said


def test_a_bad_label_names_its_row(call, tmp_path):
    (tmp_path / "bad.csv").write_text("headline,label\na good one,positive\nanother,splendid\n")
    code, said = call("sentiment", "evaluate", tmp_path / "bad.csv")
    assert code == 1
    assert "bad.csv: row 3: label 'splendid' is not one of positive, neutral, negative" in said


def test_too_few_different_texts_to_train_on_are_told(call, tmp_path):
    rows = [f"shares fall in week {i},negative" for i in range(80)] + ["a fine result,positive"] * 6
    (tmp_path / "few.csv").write_text("\n".join(["headline,label", *rows]))
    code, said = call("sentiment", "train", tmp_path / "few.csv", "--out", tmp_path / "a.model")
    assert code == 1
    assert "few.csv: its 6 positive rows have 1 different texts, too few to learn from some" in said
    assert not (tmp_path / "a.model").exists()


def test_a_damaged_archive_of_texts_is_told(call, tmp_path):
    (tmp_path / "lines.gz").write_bytes(b"\x1f\x8b nothing more")
    code, said = call("sentiment", "score", tmp_path / "lines.gz")
    assert code == 1
    assert "cannot be unpacked" in said
