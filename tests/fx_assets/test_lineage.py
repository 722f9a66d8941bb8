"""Stamps in files, and what a partition would have to be made of."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.configuration import load_configuration
from fx_assets.inputs import Input
from fx_assets.lineage import (
    CODE_VERSION,
    Lineage,
    Stamp,
    code_version,
    inputs_digest,
    neighbours,
    schema_hash,
    usable_contents,
)
from fx_assets.partition_file import arrow_table, encode, footer_size, stamp_in, stamp_of
from fx_assets.schemas import Column, Schema, build_schemas

DAYS = [f"2021-03-{day:02}" for day in range(1, 11)]
A, B = (Schema(f"silver/{name}", "", (Column("close", "float64", ""),)) for name in "ab")
texts = st.text(max_size=300)


@given(
    st.builds(Stamp, texts, texts, texts, texts, st.lists(texts, max_size=4).map(tuple)),
    st.integers(0, 120),
    st.integers(0, 30),
)
def test_a_stamp_is_found_in_the_footer_of_any_file(stamp, columns, rows):
    table = arrow_table({f"column_{n}": np.arange(rows, dtype=float) for n in range(columns + 1)})
    content = encode(table, stamp)
    assert stamp_in(content) == stamp
    assert stamp_in(content[-footer_size(content) :]) == stamp
    assert encode(table, stamp) == content


def test_a_file_without_a_stamp_has_none(tmp_path):
    path = tmp_path / "part.parquet"
    path.write_bytes(encode(arrow_table({"close": np.arange(3.0)})))
    assert stamp_in(path.read_bytes()) is None
    assert stamp_of(pq.ParquetFile(path)) is None
    for damaged in (b"", b"PAR1", path.read_bytes()[:-1]):
        with pytest.raises(ValueError, match="not a Parquet file"):
            stamp_in(damaged)


def test_the_schema_hash_follows_what_a_reader_relies_on_and_not_the_words():
    base = schema_hash(A)
    column = A.columns[0]
    assert schema_hash(dataclasses.replace(A, description="other words")) == base
    for change in ({"name": "open"}, {"dtype": "int64"}, {"nullable": True}, {"low": 0.0}):
        assert schema_hash(dataclasses.replace(A, columns=(dataclasses.replace(column, **change),))) != base
    schemas = build_schemas(load_configuration())
    assert len({schema_hash(schema) for schema in schemas.values()}) == len(schemas)


def test_neighbours_end_where_the_calendar_ends():
    source = Input("silver/a", before=2, ahead=1)
    assert neighbours(0, source, DAYS) == DAYS[:2]
    assert neighbours(5, source, DAYS) == DAYS[3:7]
    assert neighbours(9, source, DAYS) == DAYS[7:]


def test_what_is_missing_or_blocked_counts_as_not_there():
    stamps = {"a": Stamp("1"), "b": Stamp("2", problems=("flat",)), "c": None}
    contents = usable_contents(stamps)
    assert contents == {"a": "1", "c": "unstamped"}
    source = Input("silver/a")
    digest = inputs_digest([(source, ["a", "b", "c"], contents)])
    assert digest == inputs_digest([(source, ["a", "c"], contents)])
    assert digest != inputs_digest([(source, ["a", "b", "c"], {**contents, "b": "2"})])
    assert digest != inputs_digest([(Input("silver/b"), ["a", "c"], contents)])


def test_another_setting_is_another_input_and_none_is_none():
    contents = {"a": "1"}
    plain = inputs_digest([(Input("bronze/x"), ["a"], contents)])
    one, two = (inputs_digest([(Input("bronze/x", setting=s), ["a"], contents)]) for s in ("lexicon 1", "lexicon 2"))
    assert len({plain, one, two}) == 3


def test_tables_whose_meaning_stayed_keep_their_version():
    assert code_version("gold/features") == code_version("silver/technical") == CODE_VERSION
    assert code_version("silver/candles") != CODE_VERSION


class Stored:
    """A lake of stamps, and a bronze of digests."""

    def __init__(self) -> None:
        self.bronze = {day: f"rows of {day}" for day in DAYS}
        self.tables: dict[str, dict[str, Stamp | None]] = {"silver/a": {}, "silver/b": {}}

    def stamps(self, table, keys=None):
        return dict(self.tables[table])

    def digests(self, table, sessions, instruments):
        return {day: self.bronze.get(day, "") for day in sessions}

    def lineage(self) -> Lineage:
        inputs = {"silver/a": {"x": Input("bronze/x")}, "silver/b": {"a": Input("silver/a", 2, 1)}}
        schemas = {"silver/a": A, "silver/b": B}
        return Lineage(self, self, schemas, inputs, DAYS, {"bronze/x": ["all"]})

    def make(self, table: str, made_as: Schema, days=DAYS, **changes) -> None:
        for day, inputs in self.lineage().expected_inputs(table, days).items():
            values = {"code": CODE_VERSION, "schema": schema_hash(made_as), **changes}
            self.tables[table][day] = Stamp(f"{table} {inputs}", inputs, **values)

    def outdated(self, table: str) -> list[str]:
        return [day for day, state in self.lineage().states(table, DAYS).items() if state == "outdated"]


@pytest.fixture
def stored() -> Stored:
    made = Stored()
    made.make("silver/a", A)
    made.make("silver/b", B)
    return made


def test_a_change_makes_outdated_what_looks_at_it_and_no_more(stored):
    assert stored.outdated("silver/a") == stored.outdated("silver/b") == []
    stored.bronze[DAYS[4]] = "a correction"
    assert stored.outdated("silver/a") == [DAYS[4]]
    assert stored.outdated("silver/b") == []
    stored.make("silver/a", A, [DAYS[4]])
    assert stored.outdated("silver/b") == DAYS[3:7]


def test_a_session_that_comes_later_makes_its_neighbours_outdated(stored):
    later = stored.tables["silver/a"].pop(DAYS[9])
    stored.make("silver/b", B, DAYS[:9])
    assert stored.outdated("silver/b") == [DAYS[9]]
    stored.tables["silver/a"][DAYS[9]] = later
    assert stored.outdated("silver/b") == [DAYS[8]]


def test_other_code_another_schema_and_no_stamp_are_outdated(stored):
    stored.make("silver/a", A, [DAYS[0]], code="0")
    stored.make("silver/a", A, [DAYS[1]], schema="other")
    stored.tables["silver/a"][DAYS[2]] = None
    stored.make("silver/a", A, [DAYS[3]], problems=("flat",))
    del stored.tables["silver/a"][DAYS[4]]
    states = stored.lineage().states("silver/a", DAYS[:6])
    assert list(states.values()) == ["outdated", "outdated", "outdated", "blocked", "missing", "current"]
