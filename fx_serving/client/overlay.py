"""Configuration by environment: with FX_ENV=prod, data.prod.yaml is laid over data.yaml, key by key.

Shared by the code locations and the service. What a file must hold is theirs to check.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VARIABLE = "FX_ENV"
#: The configuration files of the platform, each of which may have overlays.
FILES = ("instruments", "models", "gates", "data", "automation", "serving", "monitoring", "alerts")
_NAME = re.compile(r"[a-z][a-z0-9]{0,31}")


def environment_files(folders: Sequence[Path]) -> dict[str, Path]:
    """What FX_ENV lays over the configuration: file name (data.yaml) -> its overlay; empty where FX_ENV is not set.

    folders: where a user's files are looked for, in this order. Raises ValueError for what is no name, for an overlay
    of no known file, and for an environment without any: a misspelt one would run with nobody's settings.
    """
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        return {}
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{VARIABLE}: {name!r} is not the name of an environment. "
            "Use lower-case letters and digits, such as dev, staging or prod."
        )
    found: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.glob(f"*.{name}.yaml"))):
        file = path.name.removesuffix(f".{name}.yaml")
        if file not in FILES:
            raise ValueError(f"{path}: there is no {file}.yaml that it could lie over. Use one of {', '.join(FILES)}.")
        found.setdefault(f"{file}.yaml", path)
    if not found:
        raise ValueError(
            f"{VARIABLE}: '{name}': no file *.{name}.yaml in {', '.join(map(str, folders))}. "
            f"Mend the name, or write what differs there into a file such as data.{name}.yaml."
        )
    return found


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A tree with another one laid over it; lists and single values are replaced whole."""
    made = dict(below)
    for key, value in above.items():
        under = made.get(key)
        made[key] = laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return made


def states(tree: Any, place: Sequence[object]) -> bool:
    """Whether a tree has the key at the end of `place`; steps of a place that are no keys are passed over."""
    found = False
    for step in place:
        if isinstance(tree, dict):
            found = step in tree
            tree = tree[step] if found else tree
        elif isinstance(tree, list) and isinstance(step, int) and step < len(tree):
            tree, found = tree[step], True
    return found
