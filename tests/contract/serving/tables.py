"""What is in the tables of ingested predictions."""

from __future__ import annotations

from fx_serving.client.home import Stores
from fx_serving.client.prediction_db import reading


def rows(stores: Stores, sql: str) -> list[tuple]:
    """The answer to a query, of whichever database the home has; nothing before there is one."""
    with reading(stores.predictions) as database:
        return [] if database is None else list(database.ask(sql))
