"""Headlines as content: which of them are the same news, whatever their punctuation.

Pure functions over the columns published, first_seen, headline, source, article_count.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pandas as pd

from fx_assets.sources.base import SourceError

TIME_TYPE = "datetime64[us, UTC]"
COLUMNS = ("published", "first_seen", "headline", "source", "article_count")
_NO_WORD = re.compile(r"[\W_]+")


def content_key(headline: str, source: str = "") -> str:
    """The same short hash for headlines that differ only in case, accents' encoding, punctuation, spaces, or in the
    publisher's name at their end ("Dollar gains - Reuters").
    """
    text = unicodedata.normalize("NFKC", headline).strip()
    head, dash, tail = text.rpartition(" - ")
    if dash and head and source and _words(tail) == _words(source):
        text = head
    return hashlib.sha256(_words(text).encode()).hexdigest()[:16]


def frame(rows: Iterable[tuple[Any, Any, str, str]], article_count: Any = 1, **more: Any) -> pd.DataFrame:
    """News from (published, first_seen, headline, source), one row for each publisher's headline and first_seen.

    Entries that repeat a publisher's headline and were first seen at the same moment become one with the earliest time
    of publication; their article_count is added up. One that was seen later stays: it was not known before.
    article_count: one number, or one for each row.
    more: further columns, one value for each row; of repeated rows the first is kept.
    """
    made = pd.DataFrame(list(rows), columns=list(COLUMNS[:4]))
    made = made.assign(article_count=article_count, **more)
    made = made[made["headline"].str.strip().astype(bool)] if len(made) else made
    for column in ("published", "first_seen"):
        made[column] = pd.to_datetime(made[column], utc=True).astype(TIME_TYPE)
    made = made.astype({"article_count": "int64", "headline": object, "source": object})
    keys = [content_key(h, s) for h, s in zip(made["headline"], made["source"], strict=True)]
    return _one_row(made, [pd.Series(keys, index=made.index, dtype=object), made["source"], made["first_seen"]])


def within(news: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """The headlines first seen in [start, end)."""
    seen = news["first_seen"]
    return news[(seen >= pd.Timestamp(start)) & (seen < pd.Timestamp(end))].reset_index(drop=True)


def current(news: pd.DataFrame, start: datetime) -> pd.DataFrame:
    """Without what was published more than an hour before `start`: feeds keep old entries for days, and an earlier
    session has seen them.
    """
    return news[news["published"] >= pd.Timestamp(start) - pd.Timedelta(hours=1)].reset_index(drop=True)


def checked(name: str, news: pd.DataFrame, start: datetime, end: datetime) -> pd.DataFrame:
    """The news themselves, if they can be an answer. Raises SourceError for missing or impossible times."""
    if news[["published", "first_seen"]].isna().to_numpy().any():
        raise SourceError(f"{name}: a headline has no time. The source's answer is wrong; ask again later.")
    if len(within(news, start, end)) != len(news):
        raise SourceError(f"{name}: a headline was first seen outside {start} to {end}. Check the clock (FX_CLOCK).")
    return news


def _words(text: str) -> str:
    return _NO_WORD.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _one_row(news: pd.DataFrame, by: list[pd.Series]) -> pd.DataFrame:
    """One row for each group: earliest publication, article_count summed, the rest from the earliest."""
    ordered = news.sort_values(["first_seen", "published", "source", "headline"], kind="stable")
    how = {name: "first" for name in news.columns} | {
        "published": "min",
        "article_count": "sum",
    }
    groups = ordered.groupby([series.loc[ordered.index].to_numpy() for series in by], sort=False)
    made = groups.agg(how) if len(ordered) else ordered
    made = made.sort_values(["first_seen", "published", "headline", "source"], kind="stable", ignore_index=True)
    return made.astype(dict(news.dtypes))
