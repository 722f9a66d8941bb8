"""The section `drift` of monitoring.yaml: when drift counts, and what is done about it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import Field

from fx_assets.configuration.base import Strict
from fx_assets.errors import ConfigError


class FeedLimits(Strict):
    """From where on inputs speak of a broken feed rather than of another market.

    min_rows: fewest distinct rows to say so. missing_jump: more missing values than in training. implausible_share:
    values further outside the range of training than three times its width. stale_share: values that repeat the one
    before, of a feature that hardly ever did in training. quarantine_share: of a session's candles.
    """

    min_rows: int = Field(default=50, ge=10)
    missing_jump: float = Field(default=0.05, gt=0, lt=1)
    implausible_share: float = Field(default=0.01, gt=0, lt=1)
    stale_share: float = Field(default=0.5, gt=0, le=1)
    quarantine_share: float = Field(default=0.05, gt=0, le=1)


class Retraining(Strict):
    """attempts: of one verdict, until a run succeeds. retry_minutes: between them, longer each time. per_day: of all
    models together.
    """

    attempts: int = Field(default=3, ge=1, le=20)
    retry_minutes: float = Field(default=10, ge=0, le=24 * 60)
    per_day: int = Field(default=3, ge=0, le=1000)


class DriftPolicy(Strict):
    """What drift.decide follows. The bands themselves are published ones and stand in drift.psi.

    pool_sessions: how many sessions, the judged one included, may be looked through for min_rows rows.
    """

    min_rows: int = Field(default=500, ge=50)
    pool_sessions: int = Field(default=10, ge=1, le=60)
    false_alarm_rate: float = Field(default=0.004, gt=0, lt=0.5)
    margin: float = Field(default=0.02, ge=0, lt=0.1)
    confirm_sessions: int = Field(default=2, ge=1, le=20)
    cool_down_hours: float = Field(default=24, ge=0, le=24 * 365)
    data_age_hours: float = Field(default=2, gt=0)
    prediction_kl: float = Field(default=0.1, gt=0)
    quality_drop: float = Field(default=0.05, gt=0, lt=1)
    calibration_drift: float = Field(default=0.05, gt=0)
    keep_reports: int = Field(default=30, ge=1)
    importance_correlation: float = Field(default=0.6, gt=-1, lt=1)
    feed: FeedLimits = FeedLimits()
    retraining: Retraining = Retraining()


class Drift(DriftPolicy):
    """The section: what holds for every model, and in `models` what differs for some."""

    models: dict[str, DriftPolicy] = Field(default_factory=dict)

    def of(self, model: str, known: Collection[str]) -> DriftPolicy:
        """What holds for one model: what it states itself, and else the section's. known: the models there are."""
        if strange := sorted(set(self.models) - set(known)):
            raise ConfigError(
                f"monitoring.yaml: drift.models: '{strange[0]}' is not in models.yaml. Use one of {', '.join(known)}."
            )
        own = self.models[model].model_dump(exclude_unset=True) if model in self.models else {}
        return DriftPolicy(**_laid_over(self.model_dump(exclude={"models"}), own))


def _laid_over(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    return base | {k: _laid_over(base[k], v) if isinstance(v, dict) else v for k, v in own.items()}
