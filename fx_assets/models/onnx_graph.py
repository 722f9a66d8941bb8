"""A predictor as one ONNX graph: every seed's model, their mean and the calibrator; the service scores it whole.

Written node by node, because the libraries' converters differ in names, outputs and rounding, and because the same
predictor must always give the same bytes. Trees sum in float32, all that follows is float64, as in Predictor.predict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fx_assets.errors import StoreError
from fx_assets.evaluation.calibration import EDGE, Isotonic, Platt
from fx_assets.models import onnx_trees

if TYPE_CHECKING:
    from fx_assets.evaluation.predictor import Predictor

OPSET, OPSET_ML, IR = 17, 3, 8
FORESTS = ("xgboost", "random_forest")
LARGEST = 2**28  # bytes: a larger model would not fit beside others in a worker


class _Graph:
    """Nodes and constants while a graph is written; every tensor is named by its place."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, name: str = "", domain: str = "", **attributes: Any) -> str:
        """A node; returns the name of its output."""
        from onnx import helper

        made = name or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=f"n{len(self.nodes)}", domain=domain))
        node = self.nodes[-1]
        node.attribute.extend(helper.make_attribute(key, attributes[key]) for key in sorted(attributes))
        return made

    def constant(self, value: Any, kind: Any = np.float64) -> str:
        """A constant; returns its name."""
        from onnx import numpy_helper

        made = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), made))
        return made


def to_onnx(predictor: Predictor, width: int) -> bytes:
    """A predictor of `width` features as ONNX.

    Input "input" float32 [n, width]; outputs "label" int64 [n] and "probabilities" float32 [n, 2], whose second
    column is Predictor.predict. Raises StoreError for a predictor of real values, and for one that ONNX cannot hold.
    """
    from onnx import TensorProto, helper

    if predictor.target != "binary":
        raise StoreError("ONNX export: a model of returns states no probability, and has no bundle.")
    graph = _Graph()
    members = [_member(graph, member) for member in predictor.members]
    mean = members[0]
    if len(members) > 1:
        mean = graph.add("Div", graph.add("Sum", *members), graph.constant(float(len(members))))
    p = _calibrated(graph, mean, predictor.calibrator)
    negative = graph.add("Sub", graph.constant(1.0), p)
    both = graph.add("Concat", negative, p, axis=1)
    graph.add("Cast", both, name="probabilities", to=TensorProto.FLOAT)
    above = graph.add("Greater", p, graph.constant(0.5))
    flat = graph.add("Squeeze", above, graph.constant([1], np.int64))
    graph.add("Cast", flat, name="label", to=TensorProto.INT64)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            predictor.algorithm,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, width])],
            [
                helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
            ],
            initializer=graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", OPSET_ML)],
        ir_version=IR,
        producer_name="fx",
    )
    raw = made.SerializeToString()
    if len(raw) > LARGEST:
        raise StoreError(
            f"ONNX export: the model has {len(raw) / 1e6:.0f} MB, at most {LARGEST / 1e6:.0f} MB are allowed. Use "
            "fewer rounds or seeds, or shallower trees."
        )
    return raw


def _member(graph: _Graph, member: Any) -> str:
    """One fitted model: its probability, float64 [n, 1]."""
    if member.algorithm == "logistic":
        return graph.add("Sigmoid", _linear(graph, member))
    if member.algorithm in FORESTS:
        trees = onnx_trees.of_xgboost(member.booster)
    elif member.algorithm == "lightgbm":
        trees = onnx_trees.of_lightgbm(member.booster)
    elif member.algorithm == "catboost":
        trees = onnx_trees.of_catboost(member.model)
    else:
        raise StoreError(f"ONNX export: algorithm {member.algorithm!r} is unknown.")
    margin = graph.add("TreeEnsembleRegressor", "input", domain="ai.onnx.ml", **trees.attributes())
    wide = _wide(graph, margin)
    if member.algorithm == "random_forest":
        return graph.add("Clip", wide, graph.constant(0.0), graph.constant(1.0))
    return graph.add("Sigmoid", wide)


def _linear(graph: _Graph, member: Any) -> str:
    """clip((x - mean) / scale) @ coefficients + intercept, a missing value counting as the mean."""
    x = _wide(graph, "input")
    z = graph.add("Div", graph.add("Sub", x, graph.constant(member.mean)), graph.constant(member.scale))
    z = graph.add("Clip", z, graph.constant(-member.clip), graph.constant(member.clip))
    z = graph.add("Where", graph.add("IsNaN", "input"), graph.constant(0.0), z)
    margin = graph.add("MatMul", z, graph.constant(np.asarray(member.coefficients, float)[:, None]))
    return graph.add("Add", margin, graph.constant(member.intercept))


def _calibrated(graph: _Graph, p: str, calibrator: Any) -> str:
    """The calibrator's value, float64 [n, 1]."""
    if calibrator is None:
        return p
    if isinstance(calibrator, Platt):
        clipped = graph.add("Clip", p, graph.constant(EDGE), graph.constant(1.0 - EDGE))
        odds = graph.add("Div", clipped, graph.add("Sub", graph.constant(1.0), clipped))
        line = graph.add("Mul", graph.add("Log", odds), graph.constant(calibrator.slope))
        return graph.add("Sigmoid", graph.add("Add", line, graph.constant(calibrator.intercept)))
    if isinstance(calibrator, Isotonic):
        return _interpolated(graph, p, np.asarray(calibrator.x, float), np.asarray(calibrator.y, float))
    raise StoreError(f"ONNX export: calibrator {type(calibrator).__name__} is unknown.")


def _interpolated(graph: _Graph, p: str, x: np.ndarray, y: np.ndarray) -> str:
    """Linear interpolation between knots as a sum of ramps, each flat outside its own stretch."""
    low, high = x[:-1][None, :], x[1:][None, :]
    slope = np.divide(np.diff(y), np.diff(x), out=np.zeros(len(x) - 1), where=np.diff(x) > 0)
    if not len(slope):
        return graph.add("Add", graph.add("Mul", p, graph.constant(0.0)), graph.constant(float(y[0])))
    ramp = graph.add("Min", graph.add("Max", p, graph.constant(low)), graph.constant(high))
    ramp = graph.add("Sub", ramp, graph.constant(low))
    total = graph.add("MatMul", ramp, graph.constant(slope[:, None]))
    return graph.add("Add", total, graph.constant(float(y[0])))


def _wide(graph: _Graph, tensor: str) -> str:
    from onnx import TensorProto

    return graph.add("Cast", tensor, to=TensorProto.DOUBLE)
