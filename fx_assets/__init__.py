"""The Dagster code location of the FX platform, and its data as plain pandas frames:

    from fx_assets import open_lake
    features = open_lake().table("gold/features", "2021-03-01", "2021-03-31", ["GBP_USD"])

bronze, silver, gold   one folder per medallion layer: thin assets over pure functions
features, labels, evaluation   the science; knows nothing of Dagster, MLflow or Feast
feature_store, models, automation   Feast, training to deployment, retraining on drift
sources   where candles and news come from
cli   the platform's `fx` commands
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
