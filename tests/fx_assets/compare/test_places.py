"""Which tables a folder holds, by the names of its files alone."""

import pytest

from fx_assets.compare.mapping import TableMap
from fx_assets.compare.normal import old_names
from fx_assets.compare.places import symbol, tables_in
from fx_assets.storage.local import LocalStore

LAYOUTS = {
    "candles.csv": ("candles", {}),
    "out/candles.csv.gz": ("out/candles", {}),
    "candles/2021-03-01.csv": ("candles", {"date": "2021-03-01"}),
    "candles/20210301.ndjson.gz": ("candles", {"date": "20210301"}),
    "candles/candles_2021-03-01.parquet": ("candles/candles", {"date": "2021-03-01"}),
    "candles_2021_03.csv": ("candles", {}),
    "candles/2021/03/01.csv": ("candles", {}),
    "candles/EURUSD.csv": ("candles", {"instrument": "EUR_USD"}),
    "candles/EUR_USD/2021-03-01.jsonl": ("candles", {"instrument": "EUR_USD", "date": "2021-03-01"}),
    "candles/EUR-USD_20210301.pq": ("candles", {"instrument": "EUR_USD", "date": "20210301"}),
    "gold/features/session=2021-03-01/part.parquet": ("gold/features", {"session": "2021-03-01"}),
    "a/instrument=EUR_USD/year=2021/x.snappy.parquet": ("a", {"instrument": "EUR_USD", "year": "2021"}),
    "a/part-00000-c000.snappy.parquet": ("a", {}),
    "a/data.csv": ("a", {}),
    "h1/EURUSD_H1.csv": ("h1/EURUSD_H1", {}),
}


@pytest.mark.parametrize(("path", "told"), LAYOUTS.items(), ids=list(LAYOUTS))
def test_a_path_tells_table_and_values(tmp_path, path, told):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    for other in ("notes.txt", "record.json", ".hidden.csv", "bronze/candles/instrument=A/session=B/1.ndjson.gz"):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).touch()
    ((name, parts),) = tables_in(LocalStore(tmp_path)).items()
    assert (name, parts[0].path, parts[0].values) == (told[0], path, told[1])


def test_a_folder_that_is_itself_the_table_gives_it_its_name(tmp_path):
    folder = tmp_path / "candles"
    folder.mkdir()
    (folder / "2021-03-01.csv").touch()
    assert list(tables_in(LocalStore(folder))) == ["candles"]


@pytest.mark.parametrize("written", ["EURUSD", "EUR/USD", "EUR-USD", "EUR_USD", " EURUSD "])
def test_symbols_meet_however_they_are_written(written):
    assert symbol(written) == "EUR_USD"


def test_columns_meet_by_what_is_stated_first_then_by_their_usual_spellings():
    new = ("time", "instrument", "open", "close", "bid_close", "ret")
    old = ("DateTime", "Pair", "o", "Close", "c", "bid_c", "r60", "other")
    mapped = TableMap.model_validate({"columns": {"ret": "r60"}})
    assert old_names(old, new, mapped, ("time", "instrument")) == {
        **{"DateTime": "time", "Pair": "instrument", "o": "open", "Close": "close", "bid_c": "bid_close"},
        **{"r60": "ret", "c": "c", "other": "other"},
    }
