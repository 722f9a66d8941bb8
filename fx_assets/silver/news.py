"""From bronze headlines to silver/news_sentiment: pure functions, no storage.

Nothing that is learnt later may change a row that is already known: a headline is kept as it was when it was first
known, and what comes after it is a repeated headline or none.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from fx_assets.news import RELEVANCE, relevance, repeats
from fx_assets.schemas import UTC_TIME
from fx_assets.sentiment import Scorer
from fx_assets.sessions import session_bounds
from fx_assets.sources.news_content import content_key

MICROSECOND = pd.Timedelta(microseconds=1)


def news_table(rows: pd.DataFrame, sessions: Collection[str], scorer: Scorer) -> pd.DataFrame:
    """The rows of silver/news_sentiment of `sessions`.

    rows: bronze rows of these sessions, and of those before them that DUPLICATE_LOOKBACK asks for: they are what a
        headline may repeat, and only that.
    """
    known = headlines(rows)
    if known.empty:
        return known
    novelty, repeated = repeats(known)
    own = known["session"].isin(list(sessions)).to_numpy()
    found = known[own].reset_index(drop=True)
    texts = found["headline"].tolist()
    scores = scorer.score(texts)
    # Read after scoring: a scorer that runs out of memory falls back to another one.
    made = {"sentiment": scores, "scorer": scorer.version, "novelty": novelty[own], "duplicate_of": repeated[own]}
    return found.assign(**made, **dict(zip(RELEVANCE, relevance(texts).T, strict=True)))


def headlines(rows: pd.DataFrame) -> pd.DataFrame:
    """Bronze rows as headlines that differ in content within their session, by the moment they were first known:
    available_at, the later of published and first seen.

    A feed that is asked every few minutes brings a headline again each time, first seen then: the earliest counts, and
    as it was then. article_count is the number of articles known at that very moment; what other publishers bring later
    adds nothing, for it was not known. A headline that claims to be published after the session in which it was seen is
    known by that session's end.
    """
    if rows.empty:
        return rows
    ends = {key: pd.Timestamp(session_bounds(key)[1]) - MICROSECOND for key in rows["session"].unique()}
    latest = rows["session"].map(ends).astype(UTC_TIME)
    available = rows[["published", "first_seen"]].max(axis=1)
    available = available.where(available <= latest, latest).astype(UTC_TIME)
    keys = [content_key(h, s) for h, s in zip(rows["headline"], rows["source"], strict=True)]
    made = rows.assign(available_at=available, _content=keys)
    made = made.sort_values(
        ["available_at", "first_seen", "published", "headline", "source", "article_count"],
        ascending=[True, True, True, True, True, False],
        kind="stable",
    )
    content = ["session", "_content"]
    first = made.groupby(content, sort=False)["available_at"].transform("min")
    made = made[made["available_at"] == first]
    # At one moment a publisher's largest fetch counts, and publishers add up.
    by_publisher = made.drop_duplicates([*content, "source"])
    counts = by_publisher.groupby(content, sort=False)["article_count"].transform("sum")
    found = by_publisher.assign(article_count=counts).drop_duplicates(content).drop(columns="_content")
    found = found.drop_duplicates(["available_at", "headline"])
    return found.sort_values(["available_at", "headline"], kind="stable", ignore_index=True)
