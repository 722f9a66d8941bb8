"""A source for tests of failover whose answers are given one by one; everything around it is the real thing."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from fx_assets.bronze.failover import Sources
from fx_assets.configuration import Instrument, InstrumentsFile
from fx_assets.sources import SourceError

NOW = datetime(2021, 3, 2, 22, tzinfo=UTC)
SESSION = "2021-03-01"


def bars(start: str = "2021-03-01T22:00Z", count: int = 24, **changed: Any) -> pd.DataFrame:
    """Hourly candles with every price possible."""
    time = pd.date_range(start, periods=count, freq="1h", unit="us")
    frame = pd.DataFrame({"time": time, "open": 1.2, "high": 1.3, "low": 1.1, "close": 1.25, "volume": 5.0})
    return frame.assign(**changed)


class Answers:
    """Answers with `say`: a frame, an error to raise, or a function of (instrument, start, end)."""

    def __init__(self, name: str, say: Any):
        self.name = name
        self.say = say
        self.asked: list[tuple] = []
        self.closed = False

    def candles(self, instrument: str, granularity: str, start: datetime, end: datetime) -> Any:
        self.asked.append((instrument, start, end))
        return self._answer(instrument, start, end)

    def news(self, start: datetime, end: datetime) -> Any:
        self.asked.append((start, end))
        return self._answer("news", start, end)

    def _answer(self, *question: Any) -> Any:
        if isinstance(self.say, Exception):
            raise self.say
        return self.say(*question) if callable(self.say) else self.say

    def close(self) -> None:
        self.closed = True


def instrument(*sources: str, granularity: str = "H1", **more: Any) -> Instrument:
    """An instrument with these sources."""
    return Instrument.model_validate({"sources": sources, "typical_spread": 1e-4, "granularity": granularity, **more})


def sources(clock: Callable[[], float] | None = None, **answers: Any) -> Sources:
    """Sources by name, each a real one of the configuration unless answers are given for it."""
    file = InstrumentsFile.model_validate(
        {"sessions": {"start": "2020-09-30"}, "instruments": {"GBP_USD": {"typical_spread": 1e-4}}}
    )
    made = Sources(file) if clock is None else Sources(file, clock)
    made._made.update({name: Answers(name, say) for name, say in answers.items()})
    return made


def asked(made: Sources, name: str) -> list[tuple]:
    """The questions a source of `sources` was asked."""
    return made._made[name].asked


def dead(name: str) -> SourceError:
    """What a source says whose server is gone."""
    return SourceError(f"{name}: does not answer. Check the network.")
