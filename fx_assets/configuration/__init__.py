"""Configuration: what the YAML files may say, and how a mistake in them is reported.

Files are looked for in FX_CONFIG_DIR, then FX_HOME/config, then the ones shipped in fx_assets/config.
No secrets belong in them.
"""

from fx_assets.configuration.candidates import Candidate, Choices, Range, Search
from fx_assets.configuration.data import Archive, Compute, DataFile, Freshness, Quality, Reference
from fx_assets.configuration.instruments import GRANULARITY_MINUTES, Instrument, InstrumentsFile, News, Sessions
from fx_assets.configuration.labels import Label
from fx_assets.configuration.load import SHIPPED, Configuration, config_file, load_configuration
from fx_assets.configuration.models import (
    Features,
    Gate,
    Model,
    ModelsFile,
    Strategy,
    Training,
    Validation,
)

__all__ = [
    "GRANULARITY_MINUTES",
    "SHIPPED",
    "Archive",
    "Candidate",
    "Choices",
    "Compute",
    "Configuration",
    "DataFile",
    "Features",
    "Freshness",
    "Gate",
    "Instrument",
    "InstrumentsFile",
    "Label",
    "Model",
    "ModelsFile",
    "News",
    "Quality",
    "Range",
    "Reference",
    "Search",
    "Sessions",
    "Strategy",
    "Training",
    "Validation",
    "config_file",
    "load_configuration",
]
