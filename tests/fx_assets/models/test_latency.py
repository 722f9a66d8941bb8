"""Timing a model: what is called, what is returned, and an exported graph in the service's own engine."""

import numpy as np
import pytest

from fx_assets.models.latency import WARM_UP, of_calls, of_onnx

KEYS = {"calls", "cpu_p50_us", "cpu_p99_us", "wall_p50_us", "wall_p99_us"}


def test_single_rows_are_scored_in_turn_and_what_costs_more_is_measured_as_more():
    seen: list[np.ndarray] = []
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    found = of_calls(seen.append, rows, calls=7)
    assert set(found) == KEYS
    assert found["calls"] == 7
    assert len(seen) == WARM_UP + 7
    assert all(row.shape == (1, 2) and row.dtype == np.float32 for row in seen)
    np.testing.assert_array_equal(seen[WARM_UP + 1], rows[1:2])
    dear = of_calls(lambda row: sum(range(20_000)), rows, calls=7)
    assert dear["cpu_p50_us"] > found["cpu_p50_us"]
    assert found["cpu_p50_us"] <= found["cpu_p99_us"]


def test_without_rows_there_is_nothing_to_time():
    with pytest.raises(ValueError, match="no rows to time the model with"):
        of_calls(len, np.empty((0, 2), np.float32))


def test_an_exported_graph_is_timed_by_the_services_engine():
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("Sigmoid", ["input"], ["probabilities"])],
        "g",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    found = of_onnx(model.SerializeToString(), np.zeros((4, 2), np.float32))
    assert (found["engine"], found["bytes"]) == ("onnx", len(model.SerializeToString()))
    assert 0 <= found["cpu_p50_us"] <= found["cpu_p99_us"]
