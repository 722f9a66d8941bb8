"""Feature formulas: pure functions from bars to columns. No orchestration or storage in here."""

from fx_assets.features.engine import compute_features, latest_features
from fx_assets.features.registry import FEATURES, available_features, feature_names, max_window, specs
from fx_assets.features.spec import GROUPS, FeatureSpec

__all__ = [
    "FEATURES",
    "GROUPS",
    "FeatureSpec",
    "available_features",
    "compute_features",
    "feature_names",
    "latest_features",
    "max_window",
    "specs",
]
