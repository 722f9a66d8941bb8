"""Gold: the tables models are trained on and served from."""
