"""Compiled loops over bars, a file for each group, and what they share. Import these inside functions: numba is heavy.

Every value depends on the values inside its own window and on nothing before it, bit for bit: ladder.py says how.
"""
