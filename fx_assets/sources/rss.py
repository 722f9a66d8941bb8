"""RSS and Atom feeds. What a feed holds now is all there is: it has no history to ask for."""

from __future__ import annotations

import calendar
import io
import re
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pandas as pd

from fx_assets.sources import news_content
from fx_assets.sources.http import HttpSession
from fx_assets.sources.options import Rss
from fx_serving.client import clock

_ZONE = re.compile(r"[\d\s]([A-Za-z]{2,5})\s*$")  # the name of a zone at the end of a date
# Those that feedparser knows, and the hours from UTC of further ones whose names mean one zone only in news.
_KNOWN = {"ut", "utc", "gmt", "met", "mest"} | {f"{region}{kind}" for region in "aecmp" for kind in ("t", "st", "dt")}
_HOURS = {
    **{"WET": 0, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "SAST": 2},
    **{"HKT": 8, "SGT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13},
}


@dataclass(frozen=True)
class Entry:
    """One headline of a feed. published: UTC, None where the feed does not tell."""

    published: pd.Timestamp | None
    headline: str
    source: str


class FeedSession(HttpSession):
    """Asks only for feeds that have changed: ETag and Last-Modified of the last answer go with the next question."""

    def __init__(self, name: str, options: Rss):
        super().__init__(name, options)
        self._kept: dict[str, tuple[dict[str, str], bytes]] = {}

    def get_feed(self, url: str) -> bytes:
        """The feed as it is now."""
        validators, content = self._kept.get(url, ({}, b""))
        return self.get_bytes(url, headers=validators) or content

    def _check(self, path: str, answer: httpx.Response, content: bytes) -> None:
        if answer.status_code == 304 and path in self._kept:
            return
        super()._check(path, answer, content)
        given = {"If-None-Match": "etag", "If-Modified-Since": "last-modified"}
        validators = {ours: answer.headers[theirs] for ours, theirs in given.items() if theirs in answer.headers}
        self._kept[path] = (validators, content)


class RssSource:
    """The configured feeds together. Every feed must answer: a missing one would look like a quiet market."""

    def __init__(self, name: str, options: Rss):
        self.name = name
        self.feeds = options.feeds
        self._session = FeedSession(name, options)

    def news(self, start: datetime, end: datetime) -> pd.DataFrame:
        """See NewsSource; first_seen is this moment of the data clock, so a session that does not hold it is empty.

        Also `dated`: whether the entry told when it was published; for the others published is first_seen. Entries
        that were published more than an hour before `start` are left out: an earlier session has seen them.
        Raises SourceError when a feed cannot be read.
        """
        now = clock.now()
        if not start <= now < end:
            return news_content.frame([], dated=np.empty(0, bool))
        entries = [entry for feed in self.feeds for entry in self._entries(feed)]
        rows: list[tuple[Any, Any, str, str]] = [(e.published or now, now, e.headline, e.source) for e in entries]
        found = news_content.frame(rows, dated=np.array([e.published is not None for e in entries], bool))
        return news_content.checked(self.name, news_content.current(found, start), start, end)

    def close(self) -> None:
        """Give back the connections."""
        self._session.close()

    def _entries(self, url: str) -> list[Entry]:
        entries = parse(self._session.get_feed(url), urlsplit(url).hostname or url)
        if entries is None:
            raise self._session.error(url, "the answer is no RSS or Atom feed. Check the feeds in instruments.yaml")
        return entries


_parser = threading.Lock()


def parse(content: bytes, publisher: str) -> list[Entry] | None:
    """The entries of a feed, in its order; None for what is no feed. publisher: where the feed does not name one."""
    import feedparser

    with _parser:  # it keeps state in its module
        feed: Any = feedparser.parse(io.BytesIO(content))  # bare bytes could be taken for a file's name
    if not feed.get("version") or (feed.bozo and not feed.entries):
        return None
    title = str(feed.feed.get("title") or publisher).strip()
    return [
        Entry(_published(entry), str(entry.title).strip(), str(entry.get("source", {}).get("title") or title).strip())
        for entry in feed.entries
        if entry.get("title")
    ]


def _published(entry: Any) -> pd.Timestamp | None:
    """feedparser turns every date form it knows into UTC, and takes zones that it does not know for UTC. These are
    looked up here; a name that means several zones, or none, leaves the entry without a date.
    """
    name = "published" if entry.get("published_parsed") else "updated"
    given = entry.get(f"{name}_parsed")
    if not given:
        return None
    hours = 0.0
    if (zone := _ZONE.search(str(entry.get(name) or ""))) and zone[1].lower() not in _KNOWN:
        if zone[1].upper() not in _HOURS:
            return None
        hours = _HOURS[zone[1].upper()]
    return pd.Timestamp(calendar.timegm(given), unit="s", tz="UTC") - pd.Timedelta(hours=hours)
