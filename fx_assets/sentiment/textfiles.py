"""Text files from anywhere, made into lines and rows: packing, encoding, line ends, delimiter, quotes. What the columns
mean is read in labelled.py.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Set
from pathlib import Path

from fx_assets.errors import DataError

DELIMITERS = ",;\t|"
# So many lines are looked at to find the delimiter.
SAMPLE = 50
_LINE_END = re.compile(r"\r\n|\n|\r")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def unpacked(path: Path) -> bytes:
    """The bytes of a file, of a .gz file its content. DataError if it is not there or damaged."""
    if not path.is_file():
        raise DataError(f"{path}: no such file. Check the path.")
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.name.lower().endswith(".gz") else raw
    except (OSError, EOFError, zlib.error) as error:
        if path.name.lower().endswith(".gz"):
            raise DataError(f"{path}: cannot be unpacked ({error}). Check that the .gz file is whole.") from None
        raise DataError(f"{path}: cannot be read ({error}). Check the file.") from None


def decoded(path: Path, raw: bytes) -> str:
    """Text by its byte-order mark, else UTF-8, else Windows-1252, else Latin-1. DataError for what is no text."""
    encoding = next((name for mark, name in _MARKS if raw.startswith(mark)), None)
    if encoding is None and b"\0" in raw:
        raise DataError(
            f"{path}: holds zero bytes, so it is no text, or UTF-16 without its mark. Save it as UTF-8 text."
        )
    for name in (encoding,) if encoding else ("utf-8", "cp1252", "latin-1"):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path}: begins with the mark of {encoding}, but is not. Save it as UTF-8 text.")


def lines_of(text: str) -> list[str]:
    """Lines with anything on them. Only CR and LF end a line: a headline may hold U+2028 or U+0085."""
    return [line for line in _LINE_END.split(text) if line.strip()]


def table_rows(path: Path, text: str, known: Set[str]) -> tuple[list[list[str]], str]:
    """Rows of fields without the empty ones, and the delimiter: a tab for .tsv, else what fits the first lines.

    known: lower-case names, one of which the first line should hold. Raises DataError for what is no table.
    """
    tabs = path.name.lower().removesuffix(".gz").endswith(".tsv")
    delimiter = "\t" if tabs else _delimiter(lines_of(text)[:SAMPLE], known)
    try:
        rows = _read(text, delimiter)
    except csv.Error as error:
        raise DataError(
            f"{path}: cannot be read as a table ({error}). Check that every quote is closed, and that quotes within a "
            "quoted text are doubled."
        ) from None
    return rows, delimiter


def _read(text: str, delimiter: str) -> list[list[str]]:
    if delimiter == "\t":
        # Quotes mean nothing in most files with tabs; where a whole field stands in them, they are taken off.
        plain = [line.split("\t") for line in lines_of(text)]
        if len({len(row) for row in plain}) < 2:
            return [[_unquoted(cell) for cell in row] for row in plain]
        try:
            rows = _quoted(text, delimiter, strict=True)
        except csv.Error:
            return plain
        return rows if len({len(row) for row in rows}) == 1 else plain
    rows = _quoted(text, delimiter, strict=False)
    if any("\n" in cell or "\r" in cell for row in rows for cell in row):
        # A stray quote may have swallowed rows: fields of several lines must be quoted by the book.
        return _quoted(text, delimiter, strict=True)
    return rows


def _quoted(text: str, delimiter: str, strict: bool) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict) if row]


def _unquoted(cell: str) -> str:
    found = _QUOTED.fullmatch(cell.strip())
    return cell if found is None else found.group(1).replace('""', '"')


def _delimiter(lines: list[str], known: Set[str]) -> str:
    """The one that gives all lines one number of fields, finds a known name, and splits the most; in this order."""

    def fit(delimiter: str) -> tuple[bool, bool, int]:
        try:
            rows = _read("\n".join(lines), delimiter)
        except csv.Error:
            rows = [line.split(delimiter) for line in lines]
        if len(rows) > 1 and len(lines) == SAMPLE:
            rows = rows[:-1]  # may have been cut
        width = len(rows[0]) if rows else 1
        names = {re.split(r"[\s(:\[]", cell.strip().lower())[0] for cell in rows[0]} if rows else set()
        return width > 1 and all(len(row) == width for row in rows), width > 1 and bool(names & known), width

    return max(DELIMITERS, key=fit)
