"""The table engine: partitioned tables of any range in bounded memory. An asset module needs nothing else of it.

definition.py is Dagster's side; produce.py works through a run's sessions in chunks; conform.py types, sorts and
cuts what was computed; reader.py reads inputs; histories.py keeps windows from depending on the range.
"""

from fx_assets.lineage import CODE_VERSION
from fx_assets.tables.definition import OWNER, Tables, define_asset, define_assets, transient
from fx_assets.tables.histories import by_session
from fx_assets.tables.produce import Computed
from fx_assets.tables.reader import BronzeReader, TableReader

__all__ = [
    "CODE_VERSION",
    "OWNER",
    "BronzeReader",
    "Computed",
    "TableReader",
    "Tables",
    "by_session",
    "define_asset",
    "define_assets",
    "transient",
]
