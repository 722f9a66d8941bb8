"""How the kernels are compiled: to machine code once, kept on disk, the interpreter free for others meanwhile.

No fastmath: it lets the compiler reorder sums, and then a value depends on where the computation started. Division by
zero gives infinity as in numpy; `ratio` in arithmetic.py is what keeps it out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

_HERE = Path(__file__).parent
# What a compiled kernel holds: what it calls, and where each feature's row is.
_SOURCES = (
    *sorted(_HERE.glob("*.py")),
    *(
        _HERE.parent / f"{name}.py"
        for name in ("spec", "hour_adjusted", "technical", "microstructure", "volatility", "regime")
    ),
)


def _stamp(path: Path) -> tuple[str, int, int]:
    return path.name, path.stat().st_mtime_ns, path.stat().st_size


_STAMP = tuple(_stamp(path) for path in _SOURCES)


def stored(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """numba.njit that keeps the machine code; where no folder can be written, each process compiles for itself.

    Kept beside the file, else in the user's cache folder or NUMBA_CACHE_DIR.
    """

    def made(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, nogil=True, **options)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            return njit(nogil=True, **options)(function)

    return made


def kernel(signature: str = "") -> Callable[[Callable[..., Any]], Any]:
    """Compile a function; the stored code is used until any of the kernels' files, or the function's own, changes.

    numba itself asks only whether the file of the function changed, and would go on calling old code of other files.
    signature: of a function that is called from many places, or else it is compiled anew for each constant it is
    called with.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = stored(error_model="numpy")(function)
        place: Any = getattr(getattr(dispatcher, "_cache", None), "_cache_file", None)
        if hasattr(place, "_source_stamp"):
            own = Path(function.__code__.co_filename)
            place._source_stamp = _STAMP if own in _SOURCES else (*_STAMP, _stamp(own))
        if signature and hasattr(dispatcher, "disable_compile"):
            dispatcher.compile(signature)
            dispatcher.disable_compile()
        return dispatcher

    return compiled
