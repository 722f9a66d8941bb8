"""Comparing the tables of two systems that both run: `fx compare`. Reads both sides, changes neither."""
