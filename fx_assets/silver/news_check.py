"""The standing check `news_clock` on silver/news_sentiment: do headlines come when prices move?

It needs months of both, so it looks at the newest sessions there are and not at a run's own. It only warns: a source
whose clock is off is mended by its options, and nothing is fetched again for it.
"""

from typing import Any

import dagster as dg

from fx_assets.lake import Lake
from fx_assets.quality.news_clock import NewsClock, news_clocks
from fx_assets.resources.home import HomeResource

CHECK = "news_clock"
JOB = f"{CHECK}_check"
NEWS, CANDLES = "silver/news_sentiment", "silver/candles"
SESSIONS = 260  # about a year


def build() -> tuple[dg.AssetChecksDefinition, Any]:
    """The check, and the job that evaluates it."""

    @dg.asset_check(
        asset=NEWS.split("/"), name=CHECK, description="Bursts of headlines fall into the hours in which prices move."
    )
    def news_clock(home: HomeResource) -> dg.AssetCheckResult:
        found = newest_clocks(home.lake)
        wrong = [clock.words for clock in found if clock.verdict == "off"]
        return dg.AssetCheckResult(
            passed=not wrong,
            severity=dg.AssetCheckSeverity.WARN,
            description=wrong[0] if wrong else None,
            metadata={"verdicts": [clock.words for clock in found] or ["no headlines yet"]},
        )

    return news_clock, dg.define_asset_job(JOB, selection=dg.AssetSelection.checks(news_clock))


def newest_clocks(lake: Lake, first: str | None = None, last: str | None = None) -> list[NewsClock]:
    """The verdicts over some sessions, the newest SESSIONS by default; none where a table is missing."""
    keys = [k for k in lake.keys(NEWS) if (first is None or k >= first) and (last is None or k <= last)]
    keys = keys if first is not None else keys[-SESSIONS:]
    news = lake.read(NEWS, keys, ["published", "source", "article_count"])
    candles = lake.read(CANDLES, keys, ["instrument", "time", "open", "close"])
    headlines = [frame for frame in news.values() if len(frame)]
    bars = [frame for frame in candles.values() if len(frame)]
    if not headlines or not bars:
        return []
    import pandas as pd

    return news_clocks(pd.concat(headlines, ignore_index=True), pd.concat(bars, ignore_index=True))
