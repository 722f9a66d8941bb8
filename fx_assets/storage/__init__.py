"""Where bytes are kept: one interface over folders and object stores. Knows nothing of tables."""

from fx_assets.storage.base import Store, open_store

__all__ = ["Store", "open_store"]
