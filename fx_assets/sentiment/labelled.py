"""Files of labelled sentences, as people keep them, read into texts, classes and entities. Nothing is scored here."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fx_assets.errors import DataError
from fx_assets.sentiment.base import NEUTRAL_BAND
from fx_assets.sentiment.textfiles import decoded, lines_of, table_rows, unpacked

TEXT_NAMES = ("text", "sentence", "headline", "title", "news", "tweet", "content")
LABEL_NAMES = ("label", "labels", "sentiment", "class", "polarity", "target")
ENTITY_NAME = "entity"
WORDS: dict[str, int] = {
    **dict.fromkeys(("negative", "neg", "bearish", "-1"), -1),
    **dict.fromkeys(("neutral", "neu", "none", "0"), 0),
    **dict.fromkeys(("positive", "pos", "bullish", "1", "+1"), 1),
}
_NAMES = frozenset(word for word in WORDS if word.isalpha())
_AT_LABEL = re.compile(r"^(.*)@([A-Za-z]+)\s*$")
_MAPPING = re.compile(r"([^\s,;:=()]+)\s*=\s*([A-Za-z]+)")


@dataclass(frozen=True)
class Labelled:
    """texts; labels -1, 0, 1; entities or None, all of one length; "" is no entity. skipped: rows without a text."""

    source: str
    texts: list[str]
    labels: list[int]
    entities: list[str] | None = None
    skipped: int = 0


def read_labelled(
    path: Path,
    text_column: str | None = None,
    label_column: str | None = None,
    entity_column: str | None = None,
    mapping: str | None = None,
    band: float = NEUTRAL_BAND,
) -> Labelled:
    """Labelled texts of CSV, TSV, Parquet, NDJSON or lines `sentence@label`, also .gz; UTF-8, UTF-16 with
    its mark, Windows-1252 or Latin-1.

    mapping: such as `0=negative,1=neutral,2=positive`; a column header may hold it too. Labels that are fractions in
    [-1, 1] are neutral within band.
    Raises DataError that names file, row, value and remedy.
    """
    table = _table(path)
    if not len(table):
        raise DataError(f"{path}: has no rows. Give a file with labelled sentences.")
    text = _column(path, table, text_column, TEXT_NAMES, "--text-column")
    label = _column(path, table, label_column, LABEL_NAMES, "--label-column")
    if entity_column is not None or ENTITY_NAME in table.columns:
        entity = _column(path, table, entity_column, (ENTITY_NAME,), "--entity-column")
    else:
        entity = None
    first = int(table.attrs.get("first_row", 2))
    said = parse_mapping(mapping) if mapping else parse_mapping(label)
    labels = _classes(path, table[label], first, said, band)
    texts = [_written(value).strip() for value in table[text]]
    kept = [i for i, value in enumerate(texts) if value]
    if not kept:
        raise DataError(f"{path}: column {text!r} holds no text. Name the right one with --text-column.")
    about = None if entity is None else [_written(value).strip() for value in table[entity]]
    if about is not None and not any(about[i] for i in kept):
        about = None  # an empty column tells nothing
    return Labelled(
        str(path),
        [texts[i] for i in kept],
        [labels[i] for i in kept],
        None if about is None else [about[i] for i in kept],
        len(texts) - len(kept),
    )


def parse_mapping(text: str) -> dict[str, int]:
    """`0=negative,2=positive` -> {"0": -1, "2": 1}; {} where nothing is mapped."""
    found: dict[str, int] = {}
    for value, name in _MAPPING.findall(text):
        if name.lower() not in WORDS:
            raise DataError(f"labels: {value}={name}: {name!r} is not one of positive, neutral, negative. Change it.")
        found[value.lower()] = WORDS[name.lower()]
    return found


def _table(path: Path) -> Any:
    import pandas as pd

    name = path.name.lower().removesuffix(".gz")
    raw = unpacked(path)
    if name.endswith((".parquet", ".pq")):
        try:
            return pd.read_parquet(io.BytesIO(raw))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as Parquet ({error}). Check the file.") from None
    text = decoded(path, raw)
    lines = lines_of(text)
    if name.endswith((".ndjson", ".jsonl", ".json")):
        return _from_json(path, lines)
    at = [_AT_LABEL.match(line) for line in lines]
    if lines and all(at) and at[0] is not None and at[0].group(2).lower() in _NAMES:
        table = pd.DataFrame([found.groups() for found in at if found], columns=["sentence", "label"])
        table.attrs["first_row"] = 1
        return table
    if name.endswith(".txt"):
        row = next((i for i, found in enumerate(at, start=1) if not found), 1)
        raise DataError(f"{path}: row {row}: is not of the form sentence@label. Write it so, or give a .csv file.")
    return _from_csv(path, text) if lines else pd.DataFrame()


def _from_json(path: Path, lines: list[str]) -> Any:
    import msgspec
    import pandas as pd

    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(msgspec.json.decode(line, type=dict[str, Any]))
        except ValueError as error:
            raise DataError(
                f"{path}: row {number}: is no JSON object ({error}). Write one object on each line."
            ) from None
    table = pd.DataFrame(rows)
    table.attrs["first_row"] = 1
    return table


def _from_csv(path: Path, text: str) -> Any:
    import pandas as pd

    rows, delimiter = table_rows(path, text, _NAMES.union(TEXT_NAMES, LABEL_NAMES))
    head = [cell.strip().lower() for cell in rows[0]]
    # A file of two columns without a header: the label is the one that reads as a label.
    if len(head) == 2 and any(cell in _NAMES for cell in head):
        where = 0 if head[0] in _NAMES else 1
        columns, body, first = (["label", "text"] if where == 0 else ["text", "label"]), rows, 1
    else:
        columns, body, first = [cell.strip() for cell in rows[0]], rows[1:], 2
    for number, row in enumerate(body, start=first):
        if len(row) != len(columns):
            raise DataError(
                f"{path}: row {number}: has {len(row)} fields, not {len(columns)}. Put quotes around texts that "
                f"contain {delimiter!r}."
            )
    table = pd.DataFrame(body, columns=columns, dtype=object)
    table.attrs["first_row"] = first
    return table


def _column(path: Path, table: Any, wanted: str | None, names: tuple[str, ...], option: str) -> str:
    columns = [str(column) for column in table.columns]
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise DataError(f"{path}: has no column {wanted!r}; found {', '.join(columns)}. Change {option}.")
    plain = {re.split(r"[\s(:\[]", column.lower())[0]: column for column in reversed(columns)}
    for name in names:
        if name in plain:
            return plain[name]
    raise DataError(f"{path}: no column {', '.join(names)}; found {', '.join(columns)}. Name it with {option}.")


def _classes(path: Path, values: Any, first: int, said: Mapping[str, int], band: float) -> list[int]:
    """Each label as -1, 0 or 1."""
    given = [_as_text(value) for value in values]
    if "" in given:
        row = first + given.index("")
        raise DataError(f"{path}: row {row}: label is missing. Give the row a label, or take it out.")
    if said:
        for number, value in enumerate(given, start=first):
            if value not in said:
                raise DataError(
                    f"{path}: row {number}: label {value!r} is not among {', '.join(said)}. Add it to --labels."
                )
        return [said[value] for value in given]
    numbers = {value for value in given if value not in _NAMES}
    whole = {value for value in numbers if re.fullmatch(r"[+-]?\d+", value)}
    if whole and whole == numbers and not whole & {"-1", "+1"}:
        raise DataError(
            f"{path}: the labels {', '.join(sorted(whole)[:5])} do not say which is positive. Say it with --labels, "
            "such as --labels 0=negative,1=neutral,2=positive."
        )
    found = []
    for number, value in enumerate(given, start=first):
        if value in WORDS:
            found.append(WORDS[value])
            continue
        try:
            score = float(value)
        except ValueError:
            score = float("nan")
        if not -1.0 <= score <= 1.0:
            raise DataError(
                f"{path}: row {number}: label {value!r} is not one of positive, neutral, negative, bullish, bearish, "
                "-1, 0, 1 and no number in [-1, 1]. Change it, or map it with --labels."
            )
        found.append((score > band) - (score < -band))
    return found


def _as_text(value: Any) -> str:
    """A label as written: 1.0 of a numeric column is 1, a missing one is empty."""
    text = _written(value).strip().lower()
    return text[:-2] if re.fullmatch(r"[+-]?\d+\.0", text) else text


def _written(value: Any) -> str:
    """A cell as text; "" for None, NaN and their like."""
    if isinstance(value, str):
        return value
    import pandas as pd

    return "" if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) else str(value)


def read_texts(path: Path, text_column: str | None = None) -> list[str]:
    """The texts of a file: its text column, or its lines if it is no table. Raises DataError."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((".csv", ".tsv", ".parquet", ".pq", ".ndjson", ".jsonl", ".json")):
        return [line.strip() for line in lines_of(decoded(path, unpacked(path)))]
    table = _table(path)
    if not len(table):
        return []
    return [_written(value) for value in table[_column(path, table, text_column, TEXT_NAMES, "--text-column")]]
