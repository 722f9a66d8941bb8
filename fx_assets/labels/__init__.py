"""Labels and their weights: pure functions from bars to what a model is asked to predict."""

from fx_assets.labels.labels import LOOKBACK_SESSIONS, direction, instrument_rows, label_sessions, large_move
from fx_assets.labels.uniqueness import uniqueness_weights

__all__ = ["LOOKBACK_SESSIONS", "direction", "instrument_rows", "label_sessions", "large_move", "uniqueness_weights"]
