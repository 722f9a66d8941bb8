"""Sentiment of headlines: scorers behind one interface, their training and their evaluation. No Dagster here."""

from fx_assets.sentiment.base import LABELS, NEUTRAL_BAND, Scorer, banded
from fx_assets.sentiment.make import make_scorer
from fx_assets.sentiment.setting import scorer_setting

__all__ = ["LABELS", "NEUTRAL_BAND", "Scorer", "banded", "make_scorer", "scorer_setting"]
