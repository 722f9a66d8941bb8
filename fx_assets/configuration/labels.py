"""The label of a model: what is foretold, how far ahead, and the names of its columns in gold/labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fx_assets.configuration.base import Strict

LabelKind = Literal["direction", "large_move", "return", "triple_barrier", "meta"]
LAST_SIGN = "last_sign"
LONGEST_BARS = 2000
_FIXED = ("direction", "large_move", "return")
_BARRIER_KEYS = ("timeout_bars", "up", "down", "volatility_span")


class Label(Strict):
    """What a model foretells.

    direction, large_move and return look a fixed way ahead: `horizon_minutes` on the clock, or `horizon_bars` bars of
    the instrument. triple_barrier and meta end where the price first leaves the barriers, `up` and `down` times the
    volatility (an exponential mean with span `volatility_span` bars) away, and after `timeout_bars` bars at the latest.
    meta asks whether following `primary` pays: `last_sign`, or the name of another model of models.yaml.
    """

    kind: LabelKind
    horizon_minutes: int | None = Field(default=None, gt=0, le=7 * 1440)
    horizon_bars: int | None = Field(default=None, gt=0, le=LONGEST_BARS)
    timeout_bars: int | None = Field(default=None, gt=0, le=LONGEST_BARS)
    up: float = Field(default=1.0, gt=0, le=100)
    down: float = Field(default=1.0, gt=0, le=100)
    volatility_span: int = Field(default=96, ge=2, le=5000)
    primary: str = Field(default=LAST_SIGN, pattern=r"^[a-z][a-z0-9_]{1,40}$")

    @model_validator(mode="after")
    def of_its_kind(self) -> Label:
        given = self.model_fields_set
        if self.kind in _FIXED:
            if (self.horizon_minutes is None) == (self.horizon_bars is None):
                raise ValueError(f"kind {self.kind} needs exactly one of horizon_minutes and horizon_bars")
            foreign = [key for key in (*_BARRIER_KEYS, "primary") if key in given]
        else:
            if self.timeout_bars is None:
                raise ValueError(f"kind {self.kind} needs timeout_bars, the bars after which the trade ends")
            foreign = [key for key in ("horizon_minutes", "horizon_bars") if key in given]
            foreign += ["primary"] if self.kind == "triple_barrier" and "primary" in given else []
        if foreign:
            raise ValueError(
                f"kind {self.kind} has no {', '.join(foreign)}. Remove {'it' if len(foreign) == 1 else 'them'}"
            )
        return self

    @property
    def has_barriers(self) -> bool:
        """Whether the label ends where the price leaves barriers, not after a fixed horizon."""
        return self.kind not in _FIXED

    @property
    def span(self) -> str:
        """How far ahead, as column names say it: 60m (minutes), 5b (bars; of a barrier label: its timeout)."""
        if self.horizon_minutes is not None:
            return f"{self.horizon_minutes}m"
        return f"{self.horizon_bars or self.timeout_bars}b"

    @property
    def column(self) -> str:
        """Name of the label's column in gold/labels; different for different labels."""
        if not self.has_barriers:
            return f"{self.kind}_{self.span}"
        what = f"meta_{self.primary}" if self.kind == "meta" else self.kind
        return f"{what}_{self.span}_{_number(self.up)}_{_number(self.down)}_{self.volatility_span}"

    @property
    def end_column(self) -> str:
        """Name of the column with the time at which the label is known (UTC); fixed horizons share it."""
        return f"{self.column}_end" if self.has_barriers else f"label_end_{self.span}"

    @property
    def return_column(self) -> str:
        """Name of the column with the log return from the decision to that time; fixed horizons share it."""
        return f"{self.column}_return" if self.has_barriers else f"forward_return_{self.span}"

    @property
    def is_probability(self) -> bool:
        """Whether a model of it states a probability; else it states a return."""
        return self.kind != "return"

    @property
    def target(self) -> Literal["binary", "real"]:
        """What an estimator fits: outcomes 0 and 1, or real numbers."""
        return "binary" if self.is_probability else "real"

    @property
    def name(self) -> str:
        """In words, for reports: "large_move over 60 minutes"."""
        if self.horizon_minutes is not None:
            return f"{self.kind} over {self.horizon_minutes} minutes"
        bars = self.horizon_bars or self.timeout_bars or 0
        within = "over" if self.horizon_bars else "within"
        return f"{self.kind} {within} {bars} bar{'s' * (bars != 1)}"

    def bars(self, bar_minutes: int) -> int:
        """The horizon, or of a barrier label the timeout, in bars of that length."""
        if self.horizon_minutes is not None:
            return self.horizon_minutes // bar_minutes
        return self.horizon_bars or self.timeout_bars or 0

    def minutes(self, bar_minutes: int) -> int:
        """The horizon, or of a barrier label the timeout, in minutes of open market."""
        return self.horizon_minutes if self.horizon_minutes is not None else self.bars(bar_minutes) * bar_minutes


def _number(value: float) -> str:
    """As part of a column name: 1.5 is 1p5."""
    return f"{value:.10g}".replace(".", "p").replace("-", "m").replace("+", "")
