"""A web server of an RSS and an Atom feed, with ETag and 304."""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any
from xml.sax.saxutils import escape

from fastapi import FastAPI, Header, Response


class Feeds:
    """articles: title, source, and published, an aware datetime or None. They may change while served."""

    def __init__(self, articles: list[dict[str, Any]], title: str = "Example Markets"):
        self.articles, self.title = articles, title
        self.unchanged = 0  # how often 304 was enough
        self.app = FastAPI()
        self.app.get("/rss.xml")(self._rss)
        self.app.get("/atom.xml")(self._atom)

    def _answer(self, text: str, kind: str, known: str) -> Response:
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:12]}"'
        if known == tag:
            self.unchanged += 1
            return Response(status_code=304, headers={"etag": tag})
        return Response(text, media_type=kind, headers={"etag": tag})

    def _rss(self, if_none_match: Annotated[str, Header()] = "") -> Response:
        items = "".join(
            f"<item><title>{escape(a['title'])}</title><link>https://example.org/</link>{_rss_date(a['published'])}"
            f"<source url='https://example.org/'>{escape(a['source'])}</source></item>"
            for a in self.articles
        )
        text = f"<?xml version='1.0'?><rss version='2.0'><channel><title>{self.title}</title>{items}</channel></rss>"
        return self._answer(text, "application/rss+xml", if_none_match)

    def _atom(self, if_none_match: Annotated[str, Header()] = "") -> Response:
        items = "".join(
            f"<entry><title>{escape(a['title'])}</title><id>urn:x:{n}</id>{_atom_date(a['published'])}"
            f"<source><title>{escape(a['source'])}</title></source></entry>"
            for n, a in enumerate(self.articles)
        )
        text = (
            f"<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'><title>{self.title}</title>"
            f"<id>urn:x</id>{items}</feed>"
        )
        return self._answer(text, "application/atom+xml", if_none_match)


def _rss_date(published: datetime | None) -> str:
    return "" if published is None else f"<pubDate>{format_datetime(published)}</pubDate>"


def _atom_date(published: datetime | None) -> str:
    return "" if published is None else f"<updated>{published.isoformat()}</updated>"
