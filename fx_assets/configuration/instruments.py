"""instruments.yaml: the sessions, the instruments, and where their candles and the news come from."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from fx_assets.configuration.base import Strict, Symbol, with_defaults
from fx_assets.sources.options import KINDS, SourceOptions, default_options

GRANULARITY_MINUTES = {"M1": 1, "M5": 5, "M15": 15, "M30": 30, "H1": 60, "H4": 240, "D": 1440}
Granularity = Literal["M1", "M5", "M15", "M30", "H1", "H4", "D"]


class Sessions(Strict):
    start: date
    end: date | None = None

    @model_validator(mode="after")
    def ordered(self) -> Sessions:
        if self.end is not None and self.end < self.start:
            raise ValueError(f"end {self.end} lies before start {self.start}. Swap them")
        return self


class Instrument(Strict):
    """One instrument. calendar: fx, always, or the code of an exchange, such as XNYS."""

    granularity: Granularity = "H1"
    calendar: str = "fx"
    sources: tuple[str, ...] = Field(default=("sample",), min_length=1)
    symbols: dict[str, str] = Field(default_factory=dict)
    typical_spread: float = Field(gt=0)

    @field_validator("calendar")
    @classmethod
    def known_calendar(cls, value: str) -> str:
        if value not in ("fx", "always"):
            import exchange_calendars

            known = exchange_calendars.get_calendar_names(include_aliases=True)
            if value not in known:
                raise ValueError("not a calendar. Use fx, always, or an exchange's code such as XNYS, XLON or XETR")
        return value

    @property
    def minutes(self) -> int:
        """Length of one bar in minutes."""
        return GRANULARITY_MINUTES[self.granularity]


class News(Strict):
    sources: tuple[str, ...] = ()


class InstrumentsFile(Strict):
    """The whole file. `sources` holds options by source name; a kind's own name needs no entry."""

    sessions: Sessions
    sources: dict[str, SourceOptions] = Field(default_factory=dict)
    defaults: dict[str, Any] = Field(default_factory=dict)
    instruments: dict[Symbol, Instrument] = Field(min_length=1)
    news: News = News()

    @field_validator("sources", mode="before")
    @classmethod
    def named_by_kind(cls, raw: Any) -> Any:
        """An entry that states no kind is of the kind it is named after."""
        if not isinstance(raw, dict):
            return raw
        entries = {name: entry or {} for name, entry in raw.items()}
        return {name: {"kind": name, **e} if isinstance(e, dict) else e for name, e in entries.items()}

    @model_validator(mode="before")
    @classmethod
    def spread_defaults(cls, raw: Any) -> Any:
        return with_defaults(raw, "instruments")

    def source(self, name: str) -> SourceOptions:
        """The options of a source: those of the file, else a kind's defaults. Raises KeyError for an unknown name."""
        return self.sources[name] if name in self.sources else default_options(name)

    def source_names(self) -> list[str]:
        """Every name that a list of sources may hold."""
        return [*self.sources, *(kind for kind in KINDS if kind not in self.sources)]
