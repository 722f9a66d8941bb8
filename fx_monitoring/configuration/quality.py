"""The section `quality` of monitoring.yaml: when a model's answers count as worse than its card promised."""

from __future__ import annotations

from pydantic import Field

from fx_assets.configuration.base import Strict


class QualityPolicy(Strict):
    """max_drop: relative drop of accuracy or AUC against the model card; max_brier_rise: relative rise of the Brier
    score. Either counts only where its interval excludes chance.

    min_effective: effective rows below which nothing is judged. late_sessions: how many earlier sessions are looked
    through for outcomes that became known later. keep_reports: HTML pages kept of each kind.
    """

    max_drop: float = Field(default=0.05, gt=0, lt=1)
    max_brier_rise: float = Field(default=0.05, gt=0, lt=1)
    min_effective: float = Field(default=50, ge=10)
    late_sessions: int = Field(default=5, ge=1, le=60)
    keep_reports: int = Field(default=30, ge=1)
