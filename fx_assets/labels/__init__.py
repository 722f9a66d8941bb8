"""Labels and their weights: pure functions from bars to what a model is asked to predict."""

from fx_assets.labels.columns import label_columns, outcome, return_column
from fx_assets.labels.compute import compute, label_frame
from fx_assets.labels.horizon import LOOKBACK_SESSIONS, Horizon, decided_after, label_sessions
from fx_assets.labels.uniqueness import average_uniqueness, sample_weights, uniqueness_weights

__all__ = [
    "LOOKBACK_SESSIONS",
    "Horizon",
    "average_uniqueness",
    "compute",
    "decided_after",
    "label_columns",
    "label_frame",
    "label_sessions",
    "outcome",
    "return_column",
    "sample_weights",
    "uniqueness_weights",
]
