"""How long one row takes in the exported model, as the service scores it: one row, one thread.

The processor time of the calling thread is what gates read: it is the model's own cost and, unlike the time on the
wall, does not depend on what else the machine does. Both depend on the machine, so none of this is a figure of the
study, which must be reproducible.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

WARM_UP, CALLS = 50, 1000


def of_onnx(model: bytes, rows: np.ndarray) -> dict[str, Any]:
    """Time an ONNX model with the input "input" on single rows of `rows`, float32 (n, features)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # as the service sets them
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return {**of_calls(lambda row: session.run(None, {"input": row}), rows), "engine": "onnx", "bytes": len(model)}


def of_calls(score: Callable[[np.ndarray], Any], rows: np.ndarray, calls: int = CALLS) -> dict[str, Any]:
    """Call score(row of shape (1, features)) `calls` times over the rows in turn, after a warm-up.

    Returns calls, cpu_p50_us, cpu_p99_us (of the calling thread), wall_p50_us, wall_p99_us, in microseconds.
    Raises ValueError without rows.
    """
    if not len(rows):
        raise ValueError("no rows to time the model with. Pass rows of the training set.")
    singles = [np.ascontiguousarray(row[None], np.float32) for row in rows[:CALLS]]
    for k in range(WARM_UP):
        score(singles[k % len(singles)])
    cpu, wall = np.empty(calls), np.empty(calls)
    for k in range(calls):
        row = singles[k % len(singles)]
        begun, began = time.perf_counter_ns(), time.thread_time_ns()
        score(row)
        cpu[k], wall[k] = time.thread_time_ns() - began, time.perf_counter_ns() - begun
    return {
        "calls": calls,
        **{f"cpu_{name}_us": float(np.quantile(cpu, q)) / 1e3 for name, q in (("p50", 0.5), ("p99", 0.99))},
        **{f"wall_{name}_us": float(np.quantile(wall, q)) / 1e3 for name, q in (("p50", 0.5), ("p99", 0.99))},
    }
