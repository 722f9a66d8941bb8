"""What each news signal is, declared once: the schema of gold/news_signals and docs/news.md are made from it.

Nothing here computes anything; signals.py and kernels.py hold the formulas.
"""

from __future__ import annotations

from dataclasses import dataclass

COUNT_HOURS = (1, 6, 24)
HALF_LIFE_HOURS = 6
# Decayed figures and ages look back this far; an age stops growing here.
DECAY_HOURS = 72
# What is usual: the same six hours of the day, on each of the seven days before. So every weekday is in it once.
USUAL_HOURS = 6
USUAL_DAYS = 7
LONGEST_HOURS = 24 * USUAL_DAYS + USUAL_HOURS


@dataclass(frozen=True)
class SignalSpec:
    """One signal. window_hours: its value depends on headlines of that long before the decision, and on none older.

    neutral: its value when there is no news at all. pair: whether it looks at the instrument's own currencies.
    """

    name: str
    window_hours: int
    unit: str
    neutral: float
    pair: bool
    description: str

    @property
    def words(self) -> str:
        """For a column description."""
        return f"{self.description} [{self.unit}; {self.window_hours} h]"


def _windows() -> tuple[SignalSpec, ...]:
    found = []
    for hours in COUNT_HOURS:
        found += [
            SignalSpec(f"news_count_{hours}h", hours, "articles", 0.0, False, "articles, each headline counted once"),
            SignalSpec(f"news_sentiment_{hours}h", hours, "-1..1", 0.0, False, "mean sentiment of the articles"),
            SignalSpec(
                f"news_dispersion_{hours}h", hours, "0..1", 0.0, False, "population standard deviation of sentiment"
            ),
        ]
    return tuple(found)


MARKET: tuple[SignalSpec, ...] = (
    *_windows(),
    SignalSpec(
        "news_sentiment_decayed", DECAY_HOURS, "-1..1", 0.0, False, "mean sentiment, weights halved every 6 hours"
    ),
    SignalSpec("news_age_minutes", DECAY_HOURS, "minutes", DECAY_HOURS * 60.0, False, "age of the last new headline"),
    SignalSpec("news_novel_sentiment_24h", 24, "-1..1", 0.0, False, "mean sentiment weighted by novelty"),
    SignalSpec(
        "news_surprise_6h", LONGEST_HOURS, "log ratio", 0.0, False, "articles against the usual of that time of day"
    ),
    SignalSpec(
        "news_sentiment_change", 24, "-2..2", 0.0, False, "mean of the last 6 hours less that of the 18 before them"
    ),
)
PAIR: tuple[SignalSpec, ...] = (
    SignalSpec("news_pair_count_6h", 6, "articles", 0.0, True, "articles about either currency, times relevance"),
    SignalSpec("news_pair_count_24h", 24, "articles", 0.0, True, "articles about either currency, times relevance"),
    SignalSpec("news_pair_sentiment_6h", 6, "-2..2", 0.0, True, "sentiment of the base less that of the quote"),
    SignalSpec("news_pair_sentiment_24h", 24, "-2..2", 0.0, True, "sentiment of the base less that of the quote"),
    SignalSpec(
        "news_pair_sentiment_decayed",
        DECAY_HOURS,
        "-2..2",
        0.0,
        True,
        "sentiment of the base less that of the quote, weights halved every 6 hours",
    ),
    SignalSpec(
        "news_pair_novel_sentiment_24h", 24, "-2..2", 0.0, True, "base less quote, weighted by relevance and novelty"
    ),
    SignalSpec(
        "news_pair_surprise_6h", LONGEST_HOURS, "log ratio", 0.0, True, "relevant articles against the usual of the day"
    ),
    SignalSpec(
        "news_pair_sentiment_change", 24, "-4..4", 0.0, True, "base less quote, last 6 hours less the 18 before them"
    ),
    SignalSpec(
        "news_pair_age_minutes", DECAY_HOURS, "minutes", DECAY_HOURS * 60.0, True, "age of the last relevant headline"
    ),
)
SIGNALS: tuple[SignalSpec, ...] = (*MARKET, *PAIR)
NEWS_SIGNALS: tuple[str, ...] = tuple(signal.name for signal in SIGNALS)
