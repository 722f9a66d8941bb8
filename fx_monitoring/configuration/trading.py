"""The section `trading` of monitoring.yaml: what paper trading trades, on whose word, and how much of it counts."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fx_assets.configuration.base import Strict, Symbol


class Trading(Strict):
    """mode: full trades every instrument of a model, core only `core_instruments` (none: the first two of
    instruments.yaml). models: whose forecasts are traded (none: every deployed one). source: who is asked; either: the
    service, and the champions' batch predictions where it gives no answer.

    sla_minutes: bar close to order. wait_seconds: how long a run looks again for forecasts that could still come in
    time. max_trades_per_day: orders of a model and instrument in an FX day. min_trades: closed trades before figures
    count. keep_refusals_days: how long reasons for not trading are kept.
    """

    mode: Literal["full", "core"] = "full"
    core_instruments: tuple[Symbol, ...] = ()
    models: tuple[str, ...] = ()
    source: Literal["service", "batch", "either"] = "either"
    sla_minutes: float = Field(default=5, gt=0)
    wait_seconds: float = Field(default=150, ge=0, le=600)
    max_trades_per_day: int = Field(default=12, ge=1)
    min_trades: int = Field(default=30, ge=1)
    keep_refusals_days: float = Field(default=90, gt=0)
