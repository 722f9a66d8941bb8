"""Process hygiene shared by children: one thread, and a memory limit beyond the runtime."""

from __future__ import annotations

import os
import resource
from pathlib import Path


def limit_memory(extra_mb: int) -> None:
    """Let this process's address space grow by at most `extra_mb` MiB beyond what it uses now.

    Called after the scoring runtime is imported, so that the number is about the model and not about library
    sizes.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():  # only Linux says how much is in use; elsewhere the limit would be a guess
        return
    used = int(statm.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = used + extra_mb * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def single_threaded_environment() -> dict[str, str]:
    """This environment, with the numeric libraries told to keep to one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def import_runtime(engine: str) -> None:
    """Load the scoring library of `engine`, so that its own size is not charged to the model."""
    if engine == "onnx":
        import onnxruntime  # noqa: F401
    else:
        import xgboost  # noqa: F401
