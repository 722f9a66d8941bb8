"""Whether a disk can take anything at all, asked before work starts and after it has failed.

Not everything that writes below a home goes through a store: Dagster, MLflow and the feature store have databases of
their own, and what they say on a full disk does not help anybody.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from fx_assets.storage.problems import disk_problem

LEAST = 1_000_000  # bytes: less than this is no room for one run's events


def check_room(folder: Path) -> None:
    """Raises StoreError when a file cannot be made in `folder` (or where it would be), or there is next to no room."""
    place = next((f for f in (folder, *folder.parents) if f.is_dir()), Path("/"))
    try:
        # access() says nothing to root, and nothing about a disk that became read-only after an error.
        with tempfile.TemporaryFile(dir=place):
            pass
        if shutil.disk_usage(place).free < LEAST:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise disk_problem(folder, "written to", error, LEAST) from None
