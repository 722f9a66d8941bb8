"""monitoring.yaml: what is watched, and when something is done about it. One module a section.

The file is looked for in FX_CONFIG_DIR, then in FX_HOME/config, then in fx_monitoring/config. No secrets belong in it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fx_assets.configuration.base import Strict
from fx_assets.configuration.load import config_file, parse_file, stamped
from fx_monitoring.configuration.drift import Drift, DriftPolicy, FeedLimits, Retraining
from fx_monitoring.configuration.health import Health, Limits
from fx_monitoring.configuration.quality import QualityPolicy
from fx_monitoring.configuration.trading import Trading

__all__ = [
    "SHIPPED",
    "Drift",
    "DriftPolicy",
    "FeedLimits",
    "Health",
    "Limits",
    "Monitoring",
    "QualityPolicy",
    "Retraining",
    "Trading",
    "load_monitoring",
]

SHIPPED = Path(__file__).parents[1] / "config"


class Monitoring(Strict):
    """Every section; one that is left out has its defaults."""

    drift: Drift = Drift()
    quality: QualityPolicy = QualityPolicy()
    trading: Trading = Trading()
    health: Health = Health()


def load_monitoring() -> Monitoring:
    """The file in force. Raises ConfigError naming file, key, value and remedy."""
    path = config_file("monitoring.yaml", SHIPPED)
    return _load(path, stamped(path))


@cache
def _load(path: Path, _changed: object) -> Monitoring:
    return parse_file(path, Monitoring, SHIPPED)
