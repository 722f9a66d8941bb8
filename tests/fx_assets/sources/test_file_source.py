"""The source of a user's own files: which of them are an instrument's, how they are joined, and what is kept."""

from __future__ import annotations

import gzip
import logging
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.sources import SourceError, SourceRefused, make_source
from fx_assets.sources.options import Files
from tests.servers.faults import FaultApp, serve
from tests.servers.files import files_app

START, END = datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 3, 6, tzinfo=UTC)


def candles(first: str = "2021-03-01", count: int = 48, level: float = 1.2) -> pd.DataFrame:
    close = level + np.arange(count) / 10_000
    times = pd.date_range(first, periods=count, freq="1h", tz="UTC", unit="us")
    return pd.DataFrame({"time": times, "open": close, "high": close + 0.001, "low": close - 0.001, "close": close})


def write(frame: pd.DataFrame, path: Path, modified: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        text = frame.assign(time=[t if isinstance(t, str) else t.isoformat() for t in frame["time"]])
        text.to_csv(path, index=False)
    os.utime(path, (1_700_000_000 + modified, 1_700_000_000 + modified))
    return path


def source(path: Path | str, **more):
    return make_source("mine", Files.model_validate({"path": str(path), "retries": 0} | more))


def ask(path: Path | str, instrument: str = "EUR_USD", granularity: str = "H1", **more) -> pd.DataFrame:
    return source(path, **more).candles(instrument, granularity, START, END)


@pytest.mark.parametrize(
    "name",
    ["EUR_USD.csv", "EURUSD_H1.csv", "oanda-eur_usd-h1-2021.csv", "deep/below/EUR_USD_2021.csv", "EUR_USD.parquet"],
)
def test_a_folder_gives_the_files_named_by_the_instrument(tmp_path, name):
    write(candles(), tmp_path / name)
    write(candles(level=9), tmp_path / "XEUR_USD.csv")
    write(candles(level=9), tmp_path / "EUR_USDT.csv")
    write(candles(level=9), tmp_path / "EUR_USD_M5.csv")
    (tmp_path / "EUR_USD.txt.bak").write_text("not a table")
    pd.testing.assert_frame_equal(ask(tmp_path), candles())


@pytest.mark.parametrize(
    "pattern", ["{instrument}/{granularity}.csv", "{instrument}", "*/{granularity}.csv", "{instrument}/*"]
)
def test_placeholders_lead_to_the_files(tmp_path, pattern):
    write(candles(), tmp_path / "EUR_USD" / "H1.csv")
    if "*/{" not in pattern:
        pd.testing.assert_frame_equal(ask(tmp_path / pattern), candles())
        with pytest.raises(SourceRefused, match="GBP_USD"):
            ask(tmp_path / pattern, "GBP_USD")
    else:  # nothing in the name says whose it is
        with pytest.raises(SourceRefused, match="EUR_USD"):
            ask(tmp_path / pattern)


def test_one_file_is_not_taken_for_another_instrument(tmp_path):
    path = write(candles(), tmp_path / "prices.csv")
    with pytest.raises(SourceRefused, match=r"no file of EUR_USD H1; there is prices\.csv\. Name files as EUR_USD_H1"):
        ask(path)
    named = write(candles(), tmp_path / "EUR_USD.csv")
    pd.testing.assert_frame_equal(ask(named), candles())
    with pytest.raises(SourceRefused):
        ask(named, "GBP_USD")


def test_a_column_of_instruments_says_whose_rows_they_are(tmp_path):
    both = pd.concat([candles().assign(instrument="EUR_USD"), candles(level=1.4).assign(instrument="GBPUSD")])
    path = write(both.sort_values("time"), tmp_path / "all.csv")
    pd.testing.assert_frame_equal(ask(path), candles())
    pd.testing.assert_frame_equal(ask(path, "GBP_USD"), candles(level=1.4))
    with pytest.raises(SourceRefused, match="no file of USD_JPY"):
        ask(path, "USD_JPY")


def test_of_files_that_overlap_the_one_modified_last_wins(tmp_path):
    write(candles("2021-03-01", 48, 1.2), tmp_path / "EUR_USD_a.csv", modified=20)
    write(candles("2021-03-02", 48, 1.3), tmp_path / "EUR_USD_b.parquet", modified=10)
    joined = ask(tmp_path)
    expected = pd.concat([candles("2021-03-01", 48, 1.2), candles("2021-03-02", 48, 1.3).iloc[24:]], ignore_index=True)
    pd.testing.assert_frame_equal(joined, expected)
    write(candles("2021-03-02", 48, 1.3), tmp_path / "EUR_USD_b.parquet", modified=30)
    assert ask(tmp_path)["close"].iloc[24:].tolist() == candles("2021-03-02", 48, 1.3)["close"].tolist()


def test_a_changed_file_is_read_again(tmp_path, monkeypatch):
    from fx_assets.sources import candle_files

    monkeypatch.setattr(candle_files, "LISTED_S", 0.0)
    path = write(candles(), tmp_path / "EUR_USD.csv")
    made = source(path)
    assert len(made.candles("EUR_USD", "H1", START, END)) == 48
    write(candles(count=60), path, modified=5)
    assert len(made.candles("EUR_USD", "H1", START, END)) == 60


def test_bad_rows_are_handed_on_as_they_are(tmp_path):
    frame = candles(count=10).astype({"close": object})
    frame.loc[2, "close"] = "n/a"
    frame.loc[3, "high"] = 0.1
    frame.loc[4, "open"] = -1.0
    doubled = pd.concat([frame, frame.iloc[[5]].assign(open=7.0)])
    answer = ask(write(doubled, tmp_path / "EUR_USD.csv"))
    assert len(answer) == 11
    assert np.isnan(answer["close"].iloc[2])
    assert (answer["high"].iloc[3], answer["open"].iloc[4]) == (0.1, -1.0)
    assert answer["open"].iloc[5:7].tolist() == [frame["open"].iloc[5], 7.0]


def test_few_unreadable_times_are_left_out_with_a_warning_and_many_refused(tmp_path, caplog):
    frame = candles(count=100).astype({"time": object})
    frame.loc[7, "time"] = "yesterday"
    path = write(frame, tmp_path / "EUR_USD.csv")
    with caplog.at_level(logging.WARNING):
        assert len(ask(path)) == 99
    assert "EUR_USD.csv: row 9: time 'yesterday' cannot be read; 1 such rows" in caplog.text
    frame.loc[8, "time"] = "2021-03-01T08:00:00"
    write(frame, path)
    with pytest.raises(SourceError, match=r"2 such rows\. Write times as ISO 8601 with their offset"):
        ask(path)


def test_longer_bars_are_not_read_as_shorter_ones(tmp_path):
    """They would count as known a minute after their open."""
    path = write(candles(), tmp_path / "EUR_USD.csv")
    with pytest.raises(SourceError, match=r"EUR_USD\.csv: rows are usually 0 days 01:00:00 apart, M1 candles are not"):
        ask(path, granularity="M1")


def test_running_candles_are_left_out(tmp_path):
    frame = candles(count=5).assign(complete=[True] * 4 + [False])
    assert len(ask(write(frame, tmp_path / "EUR_USD.csv"))) == 4


def test_bid_and_ask_give_the_middle(tmp_path):
    frame = candles(count=3)
    quotes = {
        f"{side}_{short}": frame[name] + sign
        for side, sign in (("bid", -0.01), ("ask", 0.01))
        for short, name in zip("ohlc", ("open", "high", "low", "close"), strict=True)
    }
    answer = ask(write(pd.DataFrame({"time": frame["time"], **quotes}), tmp_path / "EUR_USD.csv"))
    assert list(answer.columns) == [
        "time",
        "open",
        "high",
        "low",
        "close",
        *(f"{s}_{n}" for s in ("bid", "ask") for n in ("open", "high", "low", "close")),
    ]
    assert np.allclose(answer["close"], frame["close"])
    assert np.allclose(answer["ask_high"] - answer["bid_high"], 0.02)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "needs columns"),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", "cannot be read as .csv"),
        (b"a,b\n1,2\n", "needs columns time, open, high, low, close; missing time, open, high, low, close; found a, b"),
    ],
)
def test_what_cannot_be_read_at_all_is_an_error_with_the_file(tmp_path, content, words):
    path = tmp_path / "EUR_USD.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"EUR_USD\.csv: ") as caught:
        ask(path)
    assert words in str(caught.value)


def test_broken_packed_files_are_errors(tmp_path):
    path = tmp_path / "EUR_USD.csv.gz"
    packed = gzip.compress(write(candles(), tmp_path / "a.csv").read_bytes())
    path.write_bytes(packed)
    assert len(ask(path)) == 48
    path.write_bytes(packed[:-20])
    with pytest.raises(SourceError, match="cannot be read"):
        ask(path)


def test_a_file_of_another_granularity_is_an_error(tmp_path):
    minutes = candles(count=300).assign(time=pd.date_range("2021-03-01", periods=300, freq="1min", tz="UTC", unit="us"))
    path = write(minutes, tmp_path / "EUR_USD.csv")
    with pytest.raises(SourceError, match="most rows do not open on multiples of H1"):
        ask(path)
    assert len(ask(path, granularity="M1")) == 300


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(SourceRefused):
        ask(tmp_path / "nowhere")


def test_a_backfill_does_not_fetch_a_url_for_each_session():
    text = (
        candles(count=96).assign(time=candles(count=96)["time"].astype(str).str.replace(" ", "T")).to_csv(index=False)
    )
    server = FaultApp(files_app({"EUR_USD.csv": text.encode()}))
    with serve(server) as served:
        made = source(served.url + "/EUR_USD.csv")
        for day in range(4):
            since = START + timedelta(days=day)
            assert len(made.candles("EUR_USD", "H1", since, since + timedelta(days=1))) == 24
        assert server.requests == 1


def test_news_keep_their_counts_and_their_two_times(tmp_path):
    rows = [
        ("2021-03-01T10:00:00Z", "2021-03-01T10:05:00Z", "Euro gains", "Wire", 3),
        ("2021-03-01T10:01:00Z", "2021-03-01T10:02:00Z", "EURO GAINS!", "Wire", 2),
        ("2021-03-01T10:00:30Z", "2021-03-01T10:05:00Z", "euro gains", "Wire", 1),
        ("2021-03-01T11:00:00Z", "2021-03-01T11:00:30Z", "Yen falls", None, None),
    ]
    names = ["published", "first_seen", "title", "source", "article_count"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "fx_headlines.csv", index=False)
    news = source(tmp_path).news(START, END)
    assert news["article_count"].tolist() == [2, 4, 1]  # what was seen at 10:05 was not known at 10:02
    assert news["source"].tolist() == ["Wire", "Wire", "fx_headlines"]
    assert news["published"].tolist()[:2] == [pd.Timestamp("2021-03-01T10:01Z"), pd.Timestamp("2021-03-01T10:00Z")]
    assert news["first_seen"].iloc[0] == pd.Timestamp("2021-03-01T10:02Z")


def test_news_of_one_time_count_as_seen_when_published(tmp_path):
    pd.DataFrame({"time": ["2021-03-01T10:00:00Z"], "headline": ["x"]}).to_json(
        tmp_path / "news.ndjson", orient="records", lines=True
    )
    news = source(tmp_path).news(START, END)
    assert (news["first_seen"] == news["published"]).all()
    assert len(news) == 1
