"""Failures that no retry layer repeats: what a person has to mend does not mend itself in a few seconds."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from fx_assets.errors import ConfigError, DataError, MissingData


@contextmanager
def no_retry() -> Iterator[None]:
    """Turns ConfigError, DataError and MissingData into a dg.Failure that is not retried; also a decorator.

    A StoreError passes: a service that does not answer may answer in a moment.
    """
    try:
        yield
    except (ConfigError, DataError, MissingData) as error:
        raise dg.Failure(str(error), allow_retries=False) from error
