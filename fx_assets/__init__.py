"""The Dagster code location of the FX platform, and its data as plain pandas frames:

    from fx_assets import open_lake
    features = open_lake().table("gold/features", "2021-03-01", "2021-03-31", ["GBP_USD"])

bronze, silver, gold   one folder per medallion layer: thin assets over pure functions
features, labels, quality, evaluation   the science; knows nothing of Dagster, MLflow or Feast
sources, synthetic, practice   where candles and news come from; a made-up market; a broker of one's own
tables, storage, archive   how a table is made in bounded memory, where bytes are kept, and old bronze elsewhere
market_hours, freshness, live   when markets are open, how new data must be, the running session
feature_store, models, automation   Feast, training to deployment, retraining on drift
runs, stack, cli   backfills, the platform's processes, the `fx` commands
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fx_assets.lake import open_lake

__all__ = ["open_lake"]


def __getattr__(name: str) -> Any:
    # pandas and pyarrow load only for those who read the lake, not for everyone who imports a submodule.
    if name == "open_lake":
        from fx_assets.lake import open_lake

        return open_lake
    raise AttributeError(f"module 'fx_assets' has no attribute {name!r}")
