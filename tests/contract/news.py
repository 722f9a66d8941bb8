"""Every source of headlines as the contract suite sees it: how to make one, and how its server can fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.contract.sources import KEY, maker
from tests.servers.alpha_vantage import alpha_vantage_app
from tests.servers.faults import FaultApp, dead_url, serve
from tests.servers.feeds import Feeds
from tests.servers.files import files_app
from tests.servers.finnhub import finnhub_app

NEWS_SESSION = (datetime(2025, 6, 12, 21, tzinfo=UTC), datetime(2025, 6, 13, 21, tzinfo=UTC))  # holds NOW


def articles() -> list[dict[str, Any]]:
    """Headlines of the running session: one is repeated by another publisher, one by its own in other letters."""

    def article(hour: int, minute: int, title: str, source: str) -> dict[str, Any]:
        return {"published": datetime(2025, 6, 13, hour, minute, tzinfo=UTC), "title": title, "source": source}

    return [
        article(11, 58, "Euro slides after weak PMI: traders react", "Example Markets"),
        article(9, 30, "Dollar firms as yields rise", "Sample Wire"),
        article(9, 10, "Dollar firms, as yields rise!", "Sample Wire"),
        article(9, 45, "Dollar firms as yields rise", "Example Markets"),
        article(3, 0, "Bank of Japan holds rates & guidance", "Sample Wire"),
    ]


#: (published, headline, source, article_count) of what must be made of them in one answer, in any order ...
AT_ONCE = {
    ("2025-06-13T11:58:00+00:00", "Euro slides after weak PMI: traders react", "Example Markets", 1),
    ("2025-06-13T09:10:00+00:00", "Dollar firms, as yields rise!", "Sample Wire", 2),
    ("2025-06-13T09:45:00+00:00", "Dollar firms as yields rise", "Example Markets", 1),
    ("2025-06-13T03:00:00+00:00", "Bank of Japan holds rates & guidance", "Sample Wire", 1),
}
#: ... and where each was first seen at another moment: the later one was not known before, so it stays apart.
ONE_BY_ONE = {
    ("2025-06-13T11:58:00+00:00", "Euro slides after weak PMI: traders react", "Example Markets", 1),
    ("2025-06-13T09:10:00+00:00", "Dollar firms, as yields rise!", "Sample Wire", 1),
    ("2025-06-13T09:30:00+00:00", "Dollar firms as yields rise", "Sample Wire", 1),
    ("2025-06-13T09:45:00+00:00", "Dollar firms as yields rise", "Example Markets", 1),
    ("2025-06-13T03:00:00+00:00", "Bank of Japan holds rates & guidance", "Sample Wire", 1),
}


@dataclass
class NewsCase:
    """One source of headlines. live: whether it tells only what is there now, so that first_seen is NOW.

    session: a range in which it has headlines.
    """

    name: str
    make: Callable[..., Any]
    live: bool
    fault: Callable[..., None] | None = None
    dead: Callable[[], Any] | None = None
    session: tuple[datetime, datetime] = NEWS_SESSION
    server: FaultApp | None = None

    @property
    def expected(self) -> set[tuple[str, str, str, int]]:
        """What a source that was given `articles` answers for NEWS_SESSION."""
        return AT_ONCE if self.live else ONE_BY_ONE


@contextlib.contextmanager
def sample_news(_: Path) -> Iterator[NewsCase]:
    session = (datetime(2021, 3, 1, 22, tzinfo=UTC), datetime(2021, 3, 5, 22, tzinfo=UTC))
    yield NewsCase("sample", maker("sample"), False, session=session)


@contextlib.contextmanager
def synthetic_news(_: Path) -> Iterator[NewsCase]:
    session = (datetime(2025, 6, 9, 21, tzinfo=UTC), datetime(2025, 6, 12, 21, tzinfo=UTC))
    yield NewsCase("synthetic", maker("synthetic"), False, session=session)


def _news_csv() -> bytes:
    rows = [
        {
            "published": a["published"].isoformat(),
            "first_seen": (a["published"] + pd.Timedelta(minutes=2)).isoformat(),
            "headline": a["title"],
            "source": a["source"],
        }
        for a in articles()
    ]
    return pd.DataFrame(rows).to_csv(index=False).encode()


@contextlib.contextmanager
def file_news(folder: Path) -> Iterator[NewsCase]:
    (folder / "news_2025.csv").write_bytes(_news_csv())
    (folder / "EUR_USD_H1.csv").write_text("time,open\n")  # no news, and not read as such
    yield NewsCase("file", maker("file", path=str(folder)), False)


@contextlib.contextmanager
def file_http_news(_: Path) -> Iterator[NewsCase]:
    server = FaultApp(files_app({"news.csv": _news_csv()}))
    with serve(server) as served:
        make, dead = maker("file", path=served.url + "/news.csv"), maker("file", path=dead_url() + "/news.csv")
        yield NewsCase("file over http", make, False, server.fault, dead, server=server)


@contextlib.contextmanager
def _feed(path: str) -> Iterator[NewsCase]:
    server = FaultApp(Feeds(articles()).app)
    with serve(server) as served:
        make, dead = maker("rss", feeds=[served.url + path]), maker("rss", feeds=[dead_url() + path])
        yield NewsCase("rss", make, True, server.fault, dead, server=server)


def rss_news(_: Path) -> contextlib.AbstractContextManager[NewsCase]:
    return _feed("/rss.xml")


def atom_news(_: Path) -> contextlib.AbstractContextManager[NewsCase]:
    return _feed("/atom.xml")


@contextlib.contextmanager
def alpha_vantage_news(_: Path) -> Iterator[NewsCase]:
    server = FaultApp(alpha_vantage_app(KEY, {}, articles()))
    with serve(server) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALPHAVANTAGE_API_KEY", KEY)
        make = maker("alpha_vantage", url=served.url, requests_per_s=50)
        dead = maker("alpha_vantage", url=dead_url(), requests_per_s=50)
        yield NewsCase("alpha_vantage", make, True, server.fault, dead, server=server)


@contextlib.contextmanager
def finnhub_news(_: Path) -> Iterator[NewsCase]:
    server = FaultApp(finnhub_app(KEY, {}, articles()))
    with serve(server) as served, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINNHUB_API_KEY", KEY)
        make = maker("finnhub", url=f"{served.url}/api/v1", requests_per_s=30)
        dead = maker("finnhub", url=dead_url(), requests_per_s=30)
        yield NewsCase("finnhub", make, True, server.fault, dead, server=server)


NEWS: dict[str, Callable[[Path], contextlib.AbstractContextManager[NewsCase]]] = {
    "sample": sample_news,
    "synthetic": synthetic_news,
    "file": file_news,
    "file_http": file_http_news,
    "rss": rss_news,
    "atom": atom_news,
    "alpha_vantage": alpha_vantage_news,
    "finnhub": finnhub_news,
}
NEWS_NETWORK = ("file_http", "rss", "atom", "alpha_vantage", "finnhub")
NEWS_LIVE = ("rss", "atom", "alpha_vantage", "finnhub")
