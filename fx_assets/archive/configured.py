"""The archive that data.yaml asks for."""

from __future__ import annotations

from pathlib import Path

from fx_assets.archive.archive import Archive
from fx_assets.archive.months import finished_before
from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError
from fx_assets.lake import lake_root
from fx_assets.storage import open_store
from fx_serving.client.clock import now


def open_archive(home: Path, configuration: Configuration) -> Archive:
    """The archive of a home's lake. Raises ConfigError when data.yaml names none."""
    url = configuration.data.archive.url
    if not url:
        raise ConfigError(
            "data.yaml: archive.url: not set, so there is no archive. Set it to a folder on another disk, or to an "
            "object store such as s3://bucket/archive."
        )
    where = url if "://" in url else Path(url).expanduser()
    return Archive(open_store(lake_root(home, configuration.data.storage)), open_store(where))


def archived_before(configuration: Configuration) -> str:
    """Months before this one are archived, by the data clock."""
    return finished_before(now(), configuration.data.archive.keep_months, configuration.all_week)
