"""Silver: checked candles, market features by group, headlines with sentiment."""
