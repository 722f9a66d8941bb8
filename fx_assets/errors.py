"""The errors a user is meant to read. Each says what is wrong, where, and what to do about it.

Anything else that escapes is a defect of ours and keeps its traceback.
"""


class FxError(Exception):
    """Base of every error with a remedy in its message; the CLI prints these without a traceback."""


class ConfigError(FxError):
    """A configuration file that cannot be used: names file, key, value and remedy."""


class DataError(FxError):
    """Input data that cannot be used: names file, row or column, value and remedy."""


class MissingData(FxError):
    """A table or partition that has not been materialized yet: names it and the command that makes it."""


class StoreError(FxError):
    """A store (registry, feature store, service) that does not answer or disagrees with what it should hold."""
