"""Feeds: what is asked for again, what dates mean, and what is no feed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fx_assets.sources import SourceError, make_source
from fx_assets.sources.options import Rss
from fx_assets.sources.rss import parse
from tests.servers.faults import FaultApp, serve
from tests.servers.feeds import Feeds

NOW = datetime(2025, 6, 13, 12, 30, tzinfo=UTC)
SESSION = (datetime(2025, 6, 12, 21, tzinfo=UTC), datetime(2025, 6, 13, 21, tzinfo=UTC))


def article(title: str, published: datetime | None, source: str = "Wire") -> dict:
    return {"title": title, "published": published, "source": source}


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setenv("FX_CLOCK", NOW.isoformat())


@pytest.fixture
def feeds():
    return Feeds([article("Euro gains", NOW - timedelta(hours=1)), article("Yen falls", NOW - timedelta(hours=2))])


@pytest.fixture
def server(feeds):
    app = FaultApp(feeds.app)
    with serve(app) as served:
        yield app, served


@pytest.mark.parametrize("path", ["/rss.xml", "/atom.xml"])
def test_an_unchanged_feed_is_not_sent_again_and_still_read(server, feeds, path, monkeypatch):
    source = make_source("rss", Rss(feeds=(server[1].url + path,)))
    first = source.news(*SESSION)
    monkeypatch.setenv("FX_CLOCK", (NOW + timedelta(minutes=5)).isoformat())
    again = source.news(*SESSION)
    assert feeds.unchanged == 1
    assert first["headline"].tolist() == again["headline"].tolist() == ["Yen falls", "Euro gains"]
    assert (again["first_seen"] == NOW + timedelta(minutes=5)).all()
    feeds.articles.append(article("Dollar steady", NOW))
    assert "Dollar steady" in source.news(*SESSION)["headline"].tolist()
    assert feeds.unchanged == 1
    source.close()


def test_entries_without_a_date_are_marked_and_published_when_seen(server, feeds):
    feeds.articles.append(article("Somebody said something", None))
    news = make_source("rss", Rss(feeds=(server[1].url + "/rss.xml",))).news(*SESSION)
    undated = news[~news["dated"]]
    assert undated["headline"].tolist() == ["Somebody said something"]
    assert (undated["published"] == NOW).all()
    assert (undated["first_seen"] == NOW).all()
    assert str(news["dated"].dtype) == "bool"


def test_several_feeds_are_one_source_and_one_that_fails_fails_it(server, feeds):
    both = tuple(server[1].url + path for path in ("/rss.xml", "/atom.xml"))
    news = make_source("rss", Rss(feeds=both)).news(*SESSION)
    assert news["headline"].tolist() == ["Yen falls", "Euro gains"]
    assert news["article_count"].tolist() == [2, 2]
    missing = make_source("rss", Rss(feeds=(*both, server[1].url + "/none.xml"), retries=0))
    with pytest.raises(SourceError, match=r"/none\.xml"):
        missing.news(*SESSION)


def test_a_publication_time_after_now_is_kept_as_it_is(server, feeds):
    """A feed whose clock is wrong is found by comparing the two times; correcting them here would hide it."""
    feeds.articles[:] = [article("From the future", NOW + timedelta(hours=1))]
    news = make_source("rss", Rss(feeds=(server[1].url + "/rss.xml",))).news(*SESSION)
    assert news["published"].tolist() == [pd.Timestamp(NOW) + pd.Timedelta(hours=1)]
    assert news["first_seen"].tolist() == [pd.Timestamp(NOW)]


def test_titles_keep_their_characters_and_publishers_default_to_the_feed():
    feed = (
        "<rss version='2.0'><channel><title>The Feed</title><item><title>A &amp; B: 5 &lt; 6, 日本</title>"
        "<pubDate>Fri, 13 Jun 2025 08:00:00 +0200</pubDate></item><item><description>no title</description></item>"
        "</channel></rss>"
    )
    (entry,) = parse(feed.encode(), "host") or []
    assert (entry.headline, entry.source) == ("A & B: 5 < 6, 日本", "The Feed")
    assert entry.published == pd.Timestamp("2025-06-13T06:00Z")


@pytest.mark.parametrize(
    ("date", "published"),
    [
        ("Fri, 13 Jun 2025 08:00:00 +0900", "2025-06-12T23:00Z"),
        ("2025-06-13T08:00:00+09:00", "2025-06-12T23:00Z"),
        ("2025-06-13T08:00:00.123Z", "2025-06-13T08:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 GMT", "2025-06-13T08:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 UTC", "2025-06-13T08:00Z"),
        ("13 Jun 25 08:00 Z", "2025-06-13T08:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 EDT", "2025-06-13T12:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 CEST", "2025-06-13T06:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 JST", "2025-06-12T23:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 AEST", "2025-06-12T22:00Z"),
        ("Fri, 13 Jun 2025 08:00:00 IST", None),  # of India, Ireland or Israel
        ("Fri, 31 Jun 2025 08:00:00 +0000", None),
        ("yesterday", None),
    ],
)
def test_dates_of_every_zone_are_utc_and_what_is_not_clear_is_no_date(date, published):
    item = f"<item><title>x</title><pubDate>{date}</pubDate></item>"
    (entry,) = parse(f"<rss version='2.0'><channel><title>t</title>{item}</channel></rss>".encode(), "host") or []
    assert entry.published == (None if published is None else pd.Timestamp(published))


@pytest.mark.parametrize(
    "content", [b"", b"not a feed", b"<html><body>Sorry</body></html>", b'{"a": 1}', b"\xff\xfe\x00"]
)
def test_what_is_no_feed_is_none(content):
    assert parse(content, "host") is None


def test_an_answer_that_names_a_file_does_not_open_it(tmp_path):
    secret = tmp_path / "feed.xml"
    secret.write_text("<rss version='2.0'><channel><title>x</title><item><title>y</title></item></channel></rss>")
    assert parse(str(secret).encode(), "host") is None


def test_a_feed_without_entries_is_one():
    assert parse(b"<rss version='2.0'><channel><title>x</title></channel></rss>", "host") == []


def test_the_running_session_gets_the_headlines_of_now(server, tmp_path):
    """Through the fetching itself: the run's moment lies before the moment at which a feed is asked."""
    from fx_assets.bronze.failover import Sources
    from fx_assets.bronze.fetch import Moment, fetch_news
    from fx_assets.bronze.files import ALL_NEWS, NEWS, Bronze
    from fx_assets.configuration import InstrumentsFile

    file = InstrumentsFile.model_validate(
        {
            "sessions": {"start": "2025-06-01"},
            "sources": {"rss": {"feeds": [server[1].url + "/rss.xml"]}},
            "instruments": {"EUR_USD": {"typical_spread": 0.0001}},
        }
    )
    bronze, moment = Bronze(tmp_path), Moment(NOW - timedelta(seconds=2), NOW)
    with Sources(file) as sources:
        assert len(fetch_news(bronze, sources, ["rss"], "2025-06-12", moment).files) == 1
    assert len(bronze.read(NEWS, ["2025-06-12"], [ALL_NEWS])) == 2
