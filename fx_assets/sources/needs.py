"""What a source needs before it can ask: an optional package, a key from the environment."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from fx_assets.sources.base import SourceRefused


def package(name: str, module: str, extra: str) -> Any:
    """An optional package. Raises SourceRefused with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise SourceRefused(
            f"{name}: needs a package that is not installed ({error}). Run: pip install 'fx-platform[{extra}]'"
        ) from None


def secret(name: str, variable: str) -> str:
    """A key from the environment. Raises SourceRefused naming the variable where it is not set."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SourceRefused(
            f"{name}: the environment variable {variable} is not set. Set it to your key, "
            "or name another source in instruments.yaml."
        )
    return value
