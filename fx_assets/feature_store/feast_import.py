"""Feast imported in one second instead of five.

Most of an import of Feast is not Feast: its classes are decorated with typeguard's `typechecked`, which parses and
recompiles each of their methods (a development aid, by typeguard's own documentation, and a no-op under `python -O`),
and it loads PyTorch wherever that is installed, for embeddings that are not used here. Every run that registers,
materializes or reads features would pay for both.
"""

from __future__ import annotations

import sys
from typing import Any


def load_feast() -> None:
    """Import Feast plainly; afterwards `typechecked` and torch are what they were. Does nothing the second time."""
    if "feast" in sys.modules:
        return
    import typeguard

    instrumented, no_torch = typeguard.typechecked, "torch" not in sys.modules
    typeguard.typechecked = _unchanged  # type: ignore[assignment]
    if no_torch:
        sys.modules["torch"] = None  # type: ignore[assignment]  # "not installed", as Feast handles it
    try:
        import feast
        import feast.infra.offline_stores.duckdb
        import feast.infra.online_stores.sqlite  # noqa: F401
    finally:
        typeguard.typechecked = instrumented
        if no_torch:
            del sys.modules["torch"]


def _unchanged(target: Any = None, **_: Any) -> Any:
    return _unchanged if target is None else target
