"""Reading release calendars and policy rates: every format, and every fault with file, row, column and remedy."""

import pandas as pd
import pytest

from fx_assets.errors import DataError
from fx_assets.features.reference import (
    ECONOMIC,
    RATES,
    Reference,
    checked_economic,
    checked_rates,
    read_economic,
    read_rates,
)
from fx_assets.frames import write_frame

CALENDAR = """time,available_at,currency,event,impact,actual,forecast,previous
2021-02-05T13:30:00Z,2021-02-05T13:30:05Z,usd,Nonfarm Payrolls,3,49,105,-227
2021-01-08T14:30:00+01:00,,USD,Nonfarm Payrolls,high,-140,71,336
2021-03-05T13:30:00Z,,USD,Nonfarm Payrolls,3,,182,
"""
POLICY = """available_at,currency,rate
2021-05-01T00:00:00Z,GBP,0.1
2020-03-16T00:00:00Z,USD,0.25
"""


def test_a_calendar_is_typed_sorted_and_filled(tmp_path):
    (tmp_path / "calendar.csv").write_text(CALENDAR)
    table = read_economic(tmp_path / "calendar.csv")
    assert list(table.columns) == list(ECONOMIC)
    assert table["time"].is_monotonic_increasing
    assert str(table["time"].dtype) == str(table["available_at"].dtype) == "datetime64[us, UTC]"
    first = table.iloc[0]
    assert first["time"] == first["available_at"] == pd.Timestamp("2021-01-08T13:30Z")
    assert table["available_at"].iloc[1] == pd.Timestamp("2021-02-05T13:30:05Z")
    assert table["currency"].tolist() == ["USD"] * 3
    assert table["impact"].tolist() == [3, 3, 3]
    assert table["actual"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".ndjson", ".ndjson.gz"])
def test_every_format_gives_the_same_tables(tmp_path, ending):
    (tmp_path / "c.csv").write_text(CALENDAR)
    (tmp_path / "r.csv").write_text(POLICY)
    calendar, rates = read_economic(tmp_path / "c.csv"), read_rates(tmp_path / "r.csv")
    write_frame(calendar, tmp_path / f"calendar{ending}")
    write_frame(rates, tmp_path / f"rates{ending}")
    pd.testing.assert_frame_equal(read_economic(tmp_path / f"calendar{ending}"), calendar)
    pd.testing.assert_frame_equal(read_rates(tmp_path / f"rates{ending}"), rates)
    assert list(rates.columns) == list(RATES)
    assert rates["currency"].tolist() == ["USD", "GBP"]


def test_a_reference_says_what_it_provides(tmp_path):
    (tmp_path / "r.csv").write_text(POLICY)
    assert Reference().provides == set()
    reference = Reference.read(rates=tmp_path / "r.csv")
    assert reference.provides == {"rates"}
    assert reference.economic is None
    # What is checked once stays as it is.
    again = Reference(rates=reference.rates)
    assert again.rates is not None
    assert reference.rates is not None
    pd.testing.assert_frame_equal(again.rates, reference.rates)


def test_a_calendar_with_the_fewest_columns_will_do(tmp_path):
    (tmp_path / "c.csv").write_text("Time,Currency,Event,Impact\n2021-01-08T13:30:00Z,EUR,Speech,low\n")
    (row,) = read_economic(tmp_path / "c.csv").to_dict("records")
    assert (row["impact"], row["available_at"]) == (1, pd.Timestamp("2021-01-08T13:30Z"))


BAD_CALENDARS = {
    "no zone": (
        "13:30:00Z,2021-02",
        "13:30:00,2021-02",
        "row 2: time '2021-02-05T13:30:00' is no time with a time zone",
    ),
    "no such day": (
        "2021-02-05T13:30:00Z",
        "2021-02-31T13:30:00Z",
        "row 2: time '2021-02-31T13:30:00Z' cannot be read",
    ),
    "too early": (
        "13:30:05Z",
        "13:29:59Z",
        "row 2: available_at '2021-02-05T13:29:59Z' lies before the release's time",
    ),
    "impact": (",high,", ",severe,", "row 3: impact 'severe' is not 1, 2 or 3"),
    "currency": (",usd,", ",dollar,", "row 2: currency 'dollar' is not the code of a currency"),
    "number": (",105,", ",105K,", "row 2: forecast '105K' is not a number"),
    "infinite": (",105,", ",inf,", "row 2: forecast 'inf' is not a number"),
    "no event": ("usd,Nonfarm Payrolls", "usd,", "row 2: event 'nan' is empty"),
    "twice": ("2021-02-05T13:30:00Z", "2021-03-05T13:30:00Z", "comes twice at this time and currency"),
    "no column": (
        ",impact,",
        ",weight,",
        "column(s) impact missing; found time, available_at, currency, event, weight",
    ),
    "same column": (",forecast,", ",actual,", "column actual comes twice. Remove all but one"),
}


@pytest.mark.parametrize("case", BAD_CALENDARS)
def test_a_bad_calendar_is_refused_with_row_and_remedy(tmp_path, case):
    before, after, told = BAD_CALENDARS[case]
    assert before in CALENDAR
    text = CALENDAR.replace("2021-02-05T13:30:05Z", "2021-04-05T13:30:05Z") if case == "twice" else CALENDAR
    (tmp_path / "bad.csv").write_text(text.replace(before, after, 1))
    with pytest.raises(DataError) as error:
        read_economic(tmp_path / "bad.csv")
    assert told in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "bad.csv"))


BAD_RATES = {
    "missing": ("0.25", "", "row 3: rate 'nan' is missing"),
    "percent sign": ("0.25", "0.25%", "row 3: rate '0.25%' is not a number"),
    "no zone": ("2020-03-16T00:00:00Z", "2020-03-16", "row 3: available_at '2020-03-16' is no time with a time zone"),
}


@pytest.mark.parametrize("case", BAD_RATES)
def test_bad_rates_are_refused_with_row_and_remedy(tmp_path, case):
    before, after, told = BAD_RATES[case]
    (tmp_path / "bad.csv").write_text(POLICY.replace(before, after, 1))
    with pytest.raises(DataError) as error:
        read_rates(tmp_path / "bad.csv")
    assert told in str(error.value)


def test_two_rates_of_one_currency_at_one_time_are_refused():
    frame = pd.DataFrame({"available_at": pd.to_datetime(["2021-01-01"] * 2, utc=True), "currency": "USD", "rate": 1.0})
    with pytest.raises(DataError, match="rates: row 1: currency 'USD' has two rates at this time"):
        checked_rates(frame)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(DataError, match=r"gone.csv: no such file. Check the path."):
        read_rates(tmp_path / "gone.csv")
    (tmp_path / "x.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"'.xlsx' is no known format"):
        read_economic(tmp_path / "x.xlsx")
    naive = pd.DataFrame({"time": pd.to_datetime(["2021-01-01"]), "currency": "USD", "event": "CPI", "impact": 2})
    with pytest.raises(DataError, match=r"economic: row 0: time .* is no time with a time zone"):
        checked_economic(naive)


def test_an_empty_calendar_is_a_calendar():
    table = checked_economic(pd.DataFrame({name: [] for name in ("time", "currency", "event", "impact")}))
    assert list(table.columns) == list(ECONOMIC)
    assert len(table) == 0
