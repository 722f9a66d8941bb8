"""Bundles that pass every check and misbehave on traffic: as soon as the first feature (rsi_14) is above 1.

Each is a real model file: the engine itself raises, loops, returns NaN, reads memory that is not its own, or asks for
more memory than there is.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from fx_serving.client.home import Stores
from tests.servers.serving import NAMES, make_bundle

CALM, WILD = -1.0, 2.0
_GOLDEN = ([[CALM] * len(NAMES)], [0.5])


def make_bad(stores: Stores, version: str, how: str) -> str:
    """A bundle that `throws`, `hangs`, answers `nan`, ends its process by a `segfault`, or fills the `memory`."""
    if how == "segfault":
        content = _wild_tree()
        return make_bundle(stores, version, content=content, engine="xgboost", golden=_GOLDEN)
    return make_bundle(stores, version, content=_graph(how), golden=_GOLDEN)


def _graph(how: str) -> bytes:
    """P = 0.5 while the first feature is at most 1; beyond, `excess` is what it is above 1."""
    from onnx import TensorProto, helper

    def constant(name: str, kind: int, dims: list[int], values: list) -> Any:
        return helper.make_tensor(name, kind, dims, values)

    nodes = [
        helper.make_node("Slice", ["input", "starts", "ends", "axes"], ["first"]),
        helper.make_node("Sub", ["first", "one"], ["above"]),
        helper.make_node("Relu", ["above"], ["excess"]),
    ]
    initial = [
        constant("starts", TensorProto.INT64, [2], [0, 0]),
        constant("ends", TensorProto.INT64, [2], [1, 1]),
        constant("axes", TensorProto.INT64, [2], [0, 1]),
        constant("one", TensorProto.FLOAT, [], [1.0]),
        constant("half", TensorProto.FLOAT, [1, 2], [0.5, 0.5]),
        constant("scalar", TensorProto.INT64, [0], []),
        constant("flat", TensorProto.INT64, [1], [1]),
    ]
    if how == "nan":  # the root of a negative number
        nodes += [
            helper.make_node("Neg", ["excess"], ["negative"]),
            helper.make_node("Sqrt", ["negative"], ["root"]),
            helper.make_node("Add", ["half", "root"], ["probabilities"]),
        ]
    elif how == "throws":  # an index outside of what there is
        nodes += [
            helper.make_node("Mul", ["excess", "million"], ["far"]),
            helper.make_node("Cast", ["far"], ["index"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["index", "scalar"], ["at"]),
            helper.make_node("Gather", ["half", "at"], ["row"], axis=0),
            helper.make_node("Reshape", ["row", "shape"], ["probabilities"]),
        ]
        initial += [
            constant("million", TensorProto.FLOAT, [], [1e6]),
            constant("shape", TensorProto.INT64, [2], [1, 2]),
        ]
    elif how == "memory":  # a block of 4 GB for each unit, used
        nodes += [
            helper.make_node("Mul", ["excess", "billion"], ["wanted"]),
            helper.make_node("Cast", ["wanted"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "flat"], ["vector"]),
            helper.make_node("Add", ["vector", "flat"], ["size"]),
            helper.make_node(
                "ConstantOfShape", ["size"], ["block"], value=constant("v", TensorProto.FLOAT, [1], [1.0])
            ),
            helper.make_node("ReduceMean", ["block"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["half", "mean"], ["probabilities"]),
        ]
        initial.append(constant("billion", TensorProto.FLOAT, [], [1e9]))
    elif how == "hangs":  # a loop of ten thousand million turns
        turn = helper.make_graph(
            [
                helper.make_node("Identity", ["go_on"], ["still"]),
                helper.make_node("Identity", ["sum"], ["sum_out"]),
            ],
            "turn",
            [
                helper.make_tensor_value_info("number", TensorProto.INT64, []),
                helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1, 2]),
            ],
            [
                helper.make_tensor_value_info("still", TensorProto.BOOL, []),
                helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, [1, 2]),
            ],
        )
        nodes += [
            helper.make_node("Mul", ["excess", "turns"], ["many"]),
            helper.make_node("Cast", ["many"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "scalar"], ["trips"]),
            helper.make_node("Loop", ["trips", "true", "half"], ["probabilities"], body=turn),
        ]
        initial += [
            constant("turns", TensorProto.FLOAT, [], [1e10]),
            constant("true", TensorProto.BOOL, [], [True]),
        ]
    graph = helper.make_graph(
        nodes,
        how,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, len(NAMES)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 2])],
        initial,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


def _wild_tree() -> bytes:
    """One tree: a leaf where the first feature is below 1, else a split by a feature far outside of the row."""
    import xgboost

    rows = np.array([[CALM] * len(NAMES), [WILD] * len(NAMES)] * 50, np.float32)
    options = {"objective": "binary:logistic", "max_depth": 1, "base_score": 0.5, "nthread": 1}
    trained = xgboost.train(options, xgboost.DMatrix(rows, label=np.arange(100) % 2), 1)
    model = json.loads(trained.save_raw("json"))
    tree = model["learner"]["gradient_booster"]["model"]["trees"][0]
    size = 5
    tree["left_children"] = [1, -1, 3, -1, -1]
    tree["right_children"] = [2, -1, 4, -1, -1]
    tree["parents"] = [2**31 - 1, 0, 0, 2, 2]
    tree["split_conditions"] = [1.0, 0.0, 1.0, 0.0, 0.0]
    tree["split_indices"] = [0, 0, 2**30, 0, 0]
    for name in ("split_type", "default_left"):
        tree[name] = [0] * size
    for name in ("base_weights", "loss_changes", "sum_hessian"):
        tree[name] = [0.0] * size
    tree["tree_param"]["num_nodes"] = str(size)
    broken = xgboost.Booster()
    broken.load_model(bytearray(json.dumps(model).encode()))
    return bytes(broken.save_raw("ubj"))
