"""Files of labelled sentences: every form in which people keep them is read alike, and a bad one is told in words."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.sentiment.labelled import read_labelled, read_texts

TEXTS = ["Profit rose, sales fell", "Fed holds", "Société Générale's loss"]
LABELS = ["positive", "neutral", "negative"]


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"headline": TEXTS, "sentiment": LABELS, **columns})


def write(path: Path, table: pd.DataFrame) -> Path:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        table.to_parquet(path)
        return path
    if name.endswith(".txt"):
        text = "".join(f"{a}@{b}\n" for a, b in zip(table.iloc[:, 0], table.iloc[:, 1], strict=True))
    elif name.endswith(".ndjson"):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table.to_dict("records"))
    else:
        text = table.to_csv(index=False, sep="\t" if name.endswith(".tsv") else ",")
    raw = text.encode("latin-1" if "latin" in name else "utf-8")
    path.write_bytes(gzip.compress(raw) if path.name.endswith(".gz") else raw)
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.parquet", "a.ndjson", "a.txt", "a.csv.gz", "a.ndjson.gz", "latin.csv", "latin.txt.gz"]
)
def test_every_form_gives_the_same(tmp_path, name):
    data = read_labelled(write(tmp_path / name, frame()))
    assert (data.texts, data.labels, data.entities) == (TEXTS, [1, 0, -1], None)


def test_a_file_without_header_whose_first_column_is_the_label(tmp_path):
    path = tmp_path / "all.csv"
    path.write_bytes('neutral,"A plain day, in Espoo"\npositive,Söner wins\n'.encode("latin-1"))
    data = read_labelled(path)
    assert (data.texts, data.labels) == (["A plain day, in Espoo", "Söner wins"], [0, 1])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["bullish", "Neutral", "BEARISH"], [1, 0, -1]),
        (["1", "0", "-1"], [1, 0, -1]),
        ([1, 0, -1], [1, 0, -1]),
        ([0.3, 0.04, -0.6], [1, 0, -1]),
        (["+1", "neu", "neg"], [1, 0, -1]),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_labels_of_many_kinds(tmp_path, labels, expected, name):
    table = frame().assign(sentiment=labels)
    assert read_labelled(write(tmp_path / name, table)).labels == expected


@pytest.mark.parametrize("labels", [[2, 1, 0], [1, 0, 0], [1, 1, 1], [3, 4, 5]])
def test_numbers_that_do_not_say_what_they_mean_need_a_mapping(tmp_path, labels):
    path = write(tmp_path / "a.csv", frame().assign(sentiment=labels))
    with pytest.raises(DataError, match=r"a\.csv: the labels .* do not say which is positive.*--labels 0=negative"):
        read_labelled(path)
    mapping = ",".join(f"{value}={name}" for value, name in zip(labels, LABELS, strict=True))
    if len(set(labels)) == 3:
        assert read_labelled(path, mapping=mapping).labels == [1, 0, -1]


def test_a_header_may_say_what_the_numbers_mean(tmp_path):
    table = frame().rename(columns={"sentiment": "label (0=negative 1=neutral 2=positive)"})
    table.iloc[:, 1] = ["2", "1", "0"]
    assert read_labelled(write(tmp_path / "a.csv", table)).labels == [1, 0, -1]


def test_the_band_of_fractions_is_the_stated_one(tmp_path):
    path = write(tmp_path / "a.csv", frame().assign(sentiment=[0.2, 0.4, -0.2]))
    assert read_labelled(path, band=0.3).labels == [0, 1, 0]


def test_columns_by_name_and_entities(tmp_path):
    table = frame(entity=["a", "b", "c"], about=["x", "y", "z"]).rename(columns={"headline": "said"})
    path = write(tmp_path / "a.csv", table)
    with pytest.raises(DataError, match=r"no column text, .*; found said, sentiment, entity, about\. .*--text-column"):
        read_labelled(path)
    assert read_labelled(path, "said").entities == ["a", "b", "c"]
    assert read_labelled(path, "said", "sentiment", "about").entities == ["x", "y", "z"]
    with pytest.raises(DataError, match=r"has no column 'gone'; found .*--label-column"):
        read_labelled(path, "said", "gone")


def test_rows_without_text_are_left_out_and_counted(tmp_path):
    path = write(tmp_path / "a.csv", frame().assign(headline=["good", " ", "bad"]))
    data = read_labelled(path)
    assert (data.texts, data.labels, data.skipped) == (["good", "bad"], [1, -1], 1)


BAD = {
    "unknown label": ("headline,label\na,positive\nb,great\n", "row 3: label 'great' is not one of positive"),
    "out of range": ("headline,label\na,0.5\nb,1.5\n", "row 3: label '1.5' is not one of"),
    "no label": ("headline,label\na,positive\nb,\n", "row 3: label is missing. Give the row a label"),
    "fields": ("headline,label\na,positive\nb, and c,neutral\n", r"row 3: has 3 fields, not 2\. Put quotes"),
    "empty": ("", "has no rows"),
    "header only": ("headline,label\n", "has no rows"),
    "no texts": ("headline,label\n ,positive\n", "holds no text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_row_value_and_remedy(tmp_path, case):
    content, told = BAD[case]
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=told) as raised:
        read_labelled(path)
    assert "bad.csv" in str(raised.value)
    assert str(raised.value).endswith(".")


def test_other_bad_files(tmp_path):
    for name, raw, told in (
        ("a.ndjson", b'{"text": "x", "label": "positive"}\nnonsense\n', "row 2: is no JSON object"),
        ("a.txt", b"fine@positive\nno label here\n", "row 2: is not of the form sentence@label"),
        ("a.csv.gz", b"not gzip", "cannot be unpacked"),
        ("a.parquet", b"not parquet", "cannot be read as Parquet"),
    ):
        (tmp_path / name).write_bytes(raw)
        with pytest.raises(DataError, match=told):
            read_labelled(tmp_path / name)
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        read_labelled(tmp_path / "gone.csv")
    with pytest.raises(DataError, match="'great' is not one of"):
        read_labelled(write(tmp_path / "b.csv", frame()), mapping="1=great")
    with pytest.raises(DataError, match="row 2: label 'positive' is not among 1"):
        read_labelled(tmp_path / "b.csv", mapping="1=positive")


def test_texts_without_labels(tmp_path):
    (tmp_path / "lines").write_text("one line\n\nanother\n")
    assert read_texts(tmp_path / "lines") == ["one line", "another"]
    assert read_texts(write(tmp_path / "a.csv", frame())) == TEXTS


@pytest.mark.parametrize("missing", [None, "", "  "])
@pytest.mark.parametrize("name", ["a.parquet", "a.ndjson", "a.csv", "a.tsv"])
def test_a_missing_label_is_not_neutral(tmp_path, name, missing):
    path = write(tmp_path / name, frame().assign(sentiment=["positive", missing, "negative"]))
    row = 2 if name == "a.ndjson" else 3
    with pytest.raises(
        DataError, match=rf"{name}: row {row}: label is missing\. Give the row a label, or take it out\."
    ):
        read_labelled(path)


def test_a_missing_number_is_not_neutral(tmp_path):
    path = write(tmp_path / "a.parquet", frame().assign(sentiment=[1.0, float("nan"), -1.0]))
    with pytest.raises(DataError, match="row 3: label is missing"):
        read_labelled(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.ndjson"])
def test_a_missing_text_is_no_word(tmp_path, name):
    path = write(tmp_path / name, frame().assign(headline=pd.Series(["good", None, "bad"])))
    assert read_labelled(path).texts == ["good", "bad"]
    assert read_texts(path) == ["good", "", "bad"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.ndjson"])
def test_an_empty_column_of_entities_is_none(tmp_path, name):
    assert read_labelled(write(tmp_path / name, frame(entity=[None, None, None]))).entities is None
    assert read_labelled(write(tmp_path / name, frame(entity=["Acme", None, None]))).entities == ["Acme", "", ""]
