"""Text files from anywhere: encodings, line ends, delimiters and quotes give the rows that were meant, or an error."""

import gzip
import json

import pytest

from fx_assets.errors import DataError
from fx_assets.sentiment.labelled import read_labelled, read_texts

TEXTS = ["Profit\u2028rose", "Sales\u0085fell\u2029again", "L\u2019Or\u00e9al \u20ac5 mn"]


def test_only_cr_and_lf_end_a_line(tmp_path):
    rows = [json.dumps({"text": text, "label": "neutral"}, ensure_ascii=False) for text in TEXTS]
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.ndjson").write_bytes(end.join(rows).encode())
        assert read_labelled(tmp_path / "a.ndjson").texts == TEXTS
        (tmp_path / "a.csv").write_bytes(end.join(["text,label", *(f"{text},neutral" for text in TEXTS)]).encode())
        assert read_labelled(tmp_path / "a.csv").texts == TEXTS
        (tmp_path / "a.txt").write_bytes(end.join(f"{text}@neutral" for text in TEXTS).encode())
        assert read_labelled(tmp_path / "a.txt").texts == TEXTS
        (tmp_path / "lines").write_bytes(end.join(TEXTS).encode())
        assert read_texts(tmp_path / "lines") == TEXTS


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-32"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_encodings(tmp_path, encoding, name):
    raw = f"text,label\n{TEXTS[2]},positive\n\u201cMars\u201d \u2013 fine,neutral\n".encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    assert read_labelled(tmp_path / name).texts == [TEXTS[2], "\u201cMars\u201d \u2013 fine"]


def test_a_byte_that_windows_lacks_is_latin_1(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\ncaf\xe9 \x81,positive\n")
    assert read_labelled(tmp_path / "a.csv").texts == ["caf\u00e9 \x81"]


@pytest.mark.parametrize("raw", ["text,label\na,positive\n".encode("utf-16-le"), b"\xff\xfet\x00e\x00x"])
def test_what_is_no_text_is_told(tmp_path, raw):
    (tmp_path / "a.csv").write_bytes(raw)
    with pytest.raises(DataError, match=r"a\.csv: .*Save it as UTF-8 text\."):
        read_labelled(tmp_path / "a.csv")


def test_a_field_without_end_is_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"never closed,positive\n' + "word,neutral\n" * 20_000)
    with pytest.raises(DataError, match=r"a\.csv: cannot be read as a table \(field larger .*every quote is closed"):
        read_labelled(path)


def test_rows_that_a_stray_quote_would_merge_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"Buy now,positive\nSell" he said,negative\nHold,neutral\n')
    with pytest.raises(DataError, match="quotes within a quoted text are doubled"):
        read_labelled(path)
    path.write_text('text,label\n"Buy\nnow",positive\nHold,neutral\n')
    assert read_labelled(path).texts == ["Buy\nnow", "Hold"]


def test_quotes_mean_nothing_between_tabs(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text('text\tlabel\n"Buy now\tpositive\nSell" he said\tnegative\n"Hold"\tneutral\n"a ""b"""\tneutral\n')
    data = read_labelled(path)
    assert (data.texts, data.labels) == (['"Buy now', 'Sell" he said', "Hold", 'a "b"'], [1, -1, 0, 0])
    path.write_text('text\tlabel\n"Buy\tnow"\tpositive\nHold\tneutral\n')
    assert read_labelled(path).texts == ["Buy\tnow", "Hold"]
    path.write_text("text\tlabel\nBuy\tnow\tpositive\nHold\tneutral\n")
    with pytest.raises(DataError, match="row 2: has 3 fields, not 2"):
        read_labelled(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("header", [True, False])
def test_the_delimiter_is_the_one_that_fits_all_lines(tmp_path, delimiter, header):
    others = [d for d in ",;|" if d != delimiter]
    texts = [f"Oil{others[0]} gas{others[0]} coal{others[1]} up {i}" for i in range(3)] + ["Oil", "gas, coal; up | x"]
    rows = [f'"{text}"' if delimiter in text else text for text in texts]
    lines = [f"{row}{delimiter}positive" for row in rows]
    (tmp_path / "a.csv").write_text("\n".join([f"text{delimiter}label"] * header + lines) + "\n")
    assert read_labelled(tmp_path / "a.csv").texts == texts


def test_a_damaged_or_missing_file_of_texts_is_told(tmp_path):
    whole = gzip.compress(b"a line of text\n" * 100, mtime=0)
    for raw in (b"no gzip", whole[:-9], whole[:12] + b"\xff\xff\xff" + whole[15:]):
        (tmp_path / "lines.gz").write_bytes(raw)
        with pytest.raises(DataError, match=r"lines\.gz: cannot be unpacked .*is whole\."):
            read_texts(tmp_path / "lines.gz")
    with pytest.raises(DataError, match="gone: no such file"):
        read_texts(tmp_path / "gone")
    (tmp_path / "empty.csv").write_text("")
    assert read_texts(tmp_path / "empty.csv") == []
