"""Which store a home uses."""

from __future__ import annotations

from fx_serving.client.home import Stores
from fx_serving.state.base import StateStore


def open_state(stores: Stores) -> StateStore:
    """The store of `stores.state`, ready to use. Raises StateError."""
    where = stores.state
    if isinstance(where, str):
        from fx_serving.state.postgres import PostgresState

        return PostgresState(where, stores.audit_head)
    from fx_serving.state.sqlite import SqliteState

    return SqliteState(where, stores.audit_head)
