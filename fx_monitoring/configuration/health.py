"""The section `health` of monitoring.yaml: from which value on a tier is YELLOW, and from which RED."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fx_assets.configuration.base import Strict

Tier = Literal[
    "drift",
    "quality",
    "drawdown",
    "sharpe",
    "data_age",
    "service",
    "service_errors",
    "slo",
    "infrastructure",
]
Colour = Literal["GREEN", "YELLOW", "RED"]


class Limits(Strict):
    """yellow, red: the first value that is. Which way is worse, the tier knows; both ends are checked against it."""

    yellow: float
    red: float


def _rising(limits: Limits, name: str) -> None:
    if limits.red < limits.yellow:
        raise ValueError(
            f"{name}: red {limits.red:g} lies below yellow {limits.yellow:g}, but more is worse. Swap them"
        )


def _falling(limits: Limits, name: str) -> None:
    if limits.red > limits.yellow:
        raise ValueError(
            f"{name}: red {limits.red:g} lies above yellow {limits.yellow:g}, but less is worse. Swap them"
        )


class Health(Strict):
    """skip: tiers that are not judged. drift: colour of each drift action; quality: colour of each verdict.

    drawdown_pct, data_age_minutes (trading time), service_error_share, load_pct (five-minute load average per core),
    memory_pct, queued_runs: more is worse. sharpe (annualised), slo_budget_left (share), disk_free_pct: less is worse.
    sharpe is RED only where the whole interval lies below its limit. service_error_hours: how far back errors count.
    """

    skip: tuple[Tier, ...] = ()
    drift: dict[Literal["none", "log", "alert", "hold", "retrain", "block"], Colour] = Field(
        default_factory=lambda: {
            "none": "GREEN",
            "log": "GREEN",
            "alert": "YELLOW",
            "hold": "YELLOW",
            "retrain": "RED",
            "block": "RED",
        }
    )
    quality: dict[Literal["good", "worse", "inconclusive"], Colour] = Field(
        default_factory=lambda: {"good": "GREEN", "inconclusive": "YELLOW", "worse": "RED"}
    )
    drawdown_pct: Limits = Limits(yellow=10, red=15)
    sharpe: Limits = Limits(yellow=1.0, red=0.0)
    data_age_minutes: Limits = Limits(yellow=75, red=120)
    service_error_share: Limits = Limits(yellow=0.01, red=0.05)
    service_error_hours: float = Field(default=6, ge=0.25, le=24 * 14)
    slo_budget_left: Limits = Limits(yellow=0.25, red=0.0)
    load_pct: Limits = Limits(yellow=200, red=600)
    memory_pct: Limits = Limits(yellow=85, red=95)
    disk_free_pct: Limits = Limits(yellow=10, red=3)
    queued_runs: Limits = Limits(yellow=50, red=200)

    @model_validator(mode="after")
    def ordered(self) -> Health:
        for name in (
            "drawdown_pct",
            "data_age_minutes",
            "service_error_share",
            "load_pct",
            "memory_pct",
            "queued_runs",
        ):
            _rising(getattr(self, name), name)
        for name in ("sharpe", "slo_budget_left", "disk_free_pct"):
            _falling(getattr(self, name), name)
        return self
