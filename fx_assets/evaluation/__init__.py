"""Honest evaluation: splits, figures with intervals, backtest, correction for trials, gates, studies."""
