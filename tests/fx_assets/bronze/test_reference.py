"""Copies of reference files: append-only, made of good files only, and which sessions a change reaches."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from fx_assets.bronze import reference
from fx_assets.bronze.files import Bronze
from fx_assets.configuration import Reference, load_configuration
from fx_assets.errors import DataError, StoreError

MOMENT = datetime(2022, 3, 4, 22, tzinfo=UTC)
CALENDAR = """time,currency,event,impact,actual,forecast
2021-01-05T15:00:00Z,USD,ISM,3,60.7,56.8
2021-01-08T13:30:00Z,USD,Payrolls,high,-140,71
"""
RATES = "available_at,currency,rate\n2020-03-15T21:00:00Z,USD,0.25\n2020-03-19T12:00:00Z,GBP,0.1\n"
SESSIONS = [str(day.date()) for day in pd.date_range("2020-12-20", "2021-01-20") if day.weekday() not in (4, 5)]


@pytest.fixture
def bronze(tmp_path) -> Bronze:
    return Bronze(tmp_path / "lake")


@pytest.fixture
def fetch(tmp_path):
    """A file of some text, as fetched by way of data.yaml."""

    def give(text: str, name: str = "economic", ending: str = ".csv") -> reference.Given:
        path = tmp_path / f"{name}{ending}"
        path.write_text(text)
        shipped = load_configuration()
        data = shipped.data.model_copy(update={"reference": Reference(**{name: str(path)})})
        return reference.fetch(shipped.model_copy(update={"data": data}), name)

    return give


def copies(bronze: Bronze, table: str = "bronze/economic") -> list[str]:
    return bronze.store.list(table)


def test_a_file_is_copied_whole_under_its_hash(bronze, fetch):
    given = fetch(CALENDAR)
    path = reference.append(bronze, given, MOMENT)
    assert path is not None
    assert path == f"bronze/economic/20220304T220000.000000Z-{given.told}.csv"
    assert bronze.store.read(path) == CALENDAR.encode()
    assert reference.newest(bronze, "bronze/economic") == path
    assert reference.content_of(path) == given.told
    rows = reference.read(bronze, path)
    assert rows["impact"].tolist() == [3, 3]
    assert rows["actual"].tolist() == [60.7, -140.0]


def test_the_same_content_is_not_copied_again_and_another_is_added(bronze, fetch):
    first = reference.append(bronze, fetch(CALENDAR), MOMENT)
    assert reference.append(bronze, fetch(CALENDAR), MOMENT + timedelta(hours=1)) is None
    more = CALENDAR + "2021-01-13T13:30:00Z,USD,CPI,2,1.4,1.3\n"
    second = reference.append(bronze, fetch(more), MOMENT + timedelta(hours=2))
    assert copies(bronze) == [first, second]
    # A file that goes back to what it was is a third copy: the newest one is in use.
    third = reference.append(bronze, fetch(CALENDAR), MOMENT + timedelta(hours=3))
    assert reference.newest(bronze, "bronze/economic") == third
    assert len(copies(bronze)) == 3


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("economic", CALENDAR.replace("high", "huge"), ["data.yaml: reference.economic: row", "impact 'huge'"]),
        ("economic", "a,b\n1,2\n", ["data.yaml: reference.economic: column(s) time, currency", "Use the columns"]),
        ("rates", RATES.replace("0.25", "low"), ["data.yaml: reference.rates: row", "rate 'low'"]),
    ],
)
def test_a_bad_file_is_refused_and_the_old_copy_stays_in_use(bronze, fetch, name, text, told):
    good = reference.append(bronze, fetch({"economic": CALENDAR, "rates": RATES}[name], name), MOMENT)
    with pytest.raises(DataError) as caught:
        reference.append(bronze, fetch(text, name), MOMENT + timedelta(hours=1))
    for words in told:
        assert words in str(caught.value)
    assert copies(bronze, f"bronze/{name}") == [good]


def test_a_file_that_is_not_there_is_named_with_what_stays_in_use(tmp_path):
    shipped = load_configuration()
    data = shipped.data.model_copy(update={"reference": Reference(rates=str(tmp_path / "none.csv"))})
    with pytest.raises(StoreError, match=r"data.yaml: reference.rates: .*none.csv.*newest copy in bronze/rates"):
        reference.fetch(shipped.model_copy(update={"data": data}), "rates")


def test_copies_after_a_moment_are_hidden_from_a_rollback(bronze, fetch):
    first = reference.append(bronze, fetch(CALENDAR), MOMENT)
    reference.append(bronze, fetch(CALENDAR + "2021-01-13T13:30:00Z,USD,CPI,2,1.4,1.3\n"), MOMENT + timedelta(days=2))
    then = Bronze(bronze.store, MOMENT + timedelta(days=1))
    assert reference.newest(then, "bronze/economic") == first
    assert reference.newest(Bronze(bronze.store, MOMENT - timedelta(days=1)), "bronze/economic") is None


def digests(text: str, name: str = "economic") -> dict[str, str]:
    return reference.session_digests(reference.parse(name, text.encode(), ".csv"), SESSIONS, False)


def test_a_release_that_is_added_reaches_the_sessions_from_which_it_is_near():
    before, after = digests(CALENDAR), digests(CALENDAR + "2021-01-13T13:30:00Z,USD,CPI,2,1.4,1.3\n")
    # Releases count from seven days ahead, and a day is to spare: the session of the 4th ends on the 5th at 22:00.
    assert [key for key in SESSIONS if before[key] != after[key]] == [key for key in SESSIONS if key >= "2021-01-04"]
    assert len(set(before.values())) == 3


def test_a_figure_that_is_mended_reaches_all_that_know_it():
    before, after = digests(CALENDAR), digests(CALENDAR.replace("56.8", "56.9"))
    assert [key for key in SESSIONS if before[key] == after[key]] == [key for key in SESSIONS if key < "2020-12-27"]


def test_rates_count_from_when_they_are_known():
    more = RATES + "2021-01-19T12:00:00Z,GBP,0.25\n"
    before, after = digests(RATES, "rates"), digests(more, "rates")
    assert before["2020-12-20"] == after["2020-12-20"]
    assert before[SESSIONS[-1]] != after[SESSIONS[-1]]


def test_no_copy_is_told_as_no_content(bronze):
    assert reference.known_digests(bronze, ["bronze/economic"], SESSIONS, False) == {"bronze/economic": {}}


def test_object_stores_and_compressed_files_are_read_alike(fetch):
    import gzip

    packed = reference.parse("economic", gzip.compress(CALENDAR.encode()), ".csv.gz")
    pd.testing.assert_frame_equal(packed, reference.parse("economic", CALENDAR.encode(), ".csv"))
    assert Path(fetch(CALENDAR).ending).name == ".csv"
