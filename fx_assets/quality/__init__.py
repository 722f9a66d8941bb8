"""Data quality: which candles cannot be believed, and why. Pure functions over numpy and pandas; no Dagster.

One module a check. `screen.screen` runs them all over what was fetched, bars.py lays the candles out for them, and
reasons.py says what each reason means and whether it stops anything. docs/quality.md has the whole.
"""
