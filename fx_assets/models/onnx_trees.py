"""Fitted trees of every library as the arrays of ONNX's TreeEnsembleRegressor.

Inputs are float32, so a threshold is stored as the float32 that sends every float32 input the same way as the
library's own threshold does; leaf values are float32, their sum the margin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fx_assets.errors import StoreError

BELOW, UP_TO, ABOVE, LEAF = "BRANCH_LT", "BRANCH_LEQ", "BRANCH_GT", "LEAF"


@dataclass
class Trees:
    """Nodes in the order in which they were added. base: the margin before any tree."""

    base: float = 0.0
    nodes: list[tuple] = field(default_factory=list)
    leaves: list[tuple[int, int, float]] = field(default_factory=list)
    count: int = 0

    def branch(self, node: int, mode: str, feature: int, value: float, yes: int, no: int, missing_yes: bool) -> None:
        """A question of the tree being added: x[feature] `mode` value."""
        self.nodes.append((self.count, node, mode, feature, float(value), yes, no, int(missing_yes)))

    def leaf(self, node: int, value: float) -> None:
        """An answer of the tree being added."""
        self.nodes.append((self.count, node, LEAF, 0, 0.0, 0, 0, 0))
        self.leaves.append((self.count, node, float(value)))

    def end_tree(self) -> None:
        """What follows belongs to the next tree."""
        self.count += 1

    def attributes(self) -> dict[str, Any]:
        """The node's attributes. A model without trees gets one that says 0."""
        if not self.count:
            self.leaf(0, 0.0)
            self.end_tree()
        tree, node, mode, feature, value, yes, no, missing = zip(*self.nodes, strict=True)
        target_tree, target_node, weight = zip(*self.leaves, strict=True)
        return {
            "nodes_treeids": tree,
            "nodes_nodeids": node,
            "nodes_modes": mode,
            "nodes_featureids": feature,
            "nodes_values": value,
            "nodes_truenodeids": yes,
            "nodes_falsenodeids": no,
            "nodes_missing_value_tracks_true": missing,
            "target_treeids": target_tree,
            "target_nodeids": target_node,
            "target_ids": [0] * len(target_tree),
            "target_weights": weight,
            "n_targets": 1,
            "aggregate_function": "SUM",
            "post_transform": "NONE",
            "base_values": [self.base],
        }


def of_xgboost(booster: Any) -> Trees:
    """An XGBoost model of one output; its base score becomes a margin as its objective has it."""
    learner = json.loads(bytes(booster.save_raw("json")))["learner"]
    stored = str(learner["learner_model_param"]["base_score"]).strip("[]")
    base = float(np.float32(float(stored)))
    if learner["objective"]["name"] == "binary:logistic":
        base = float(-np.log(1.0 / base - 1.0))
    found = Trees(base)
    for tree in learner["gradient_booster"]["model"]["trees"]:
        if any(tree["split_type"]):
            raise StoreError("ONNX export: the XGBoost model splits on categories. Train it on numbers only.")
        left, right = tree["left_children"], tree["right_children"]
        for n, (yes, no) in enumerate(zip(left, right, strict=True)):
            if yes == -1:
                found.leaf(n, tree["split_conditions"][n])
            else:
                default_left = bool(tree["default_left"][n])
                found.branch(n, BELOW, tree["split_indices"][n], tree["split_conditions"][n], yes, no, default_left)
        found.end_tree()
    return found


def of_lightgbm(booster: Any) -> Trees:
    """A LightGBM model of one output."""
    found = Trees()
    for tree in booster.dump_model()["tree_info"]:
        _lightgbm_node(found, tree["tree_structure"], [0])
        found.end_tree()
    return found


def _lightgbm_node(found: Trees, node: Mapping[str, Any], last: list[int]) -> int:
    """Add a node and what is below it; returns its number. last: the highest number given so far, plus one."""
    number = last[0]
    last[0] += 1
    if "leaf_value" in node and "split_feature" not in node:
        found.leaf(number, node["leaf_value"])
        return number
    if node["decision_type"] != "<=":
        raise StoreError("ONNX export: the LightGBM model splits on categories. Train it on numbers only.")
    threshold = node["threshold"]
    # Without missing values in training, LightGBM reads one as 0; else it has a side of its own.
    missing_yes = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0.0
    position = len(found.nodes)
    yes = _lightgbm_node(found, node["left_child"], last)
    no = _lightgbm_node(found, node["right_child"], last)
    found.nodes.insert(
        position,
        (found.count, number, UP_TO, node["split_feature"], _not_above(threshold), yes, no, int(missing_yes)),
    )
    return number


def of_catboost(model: Any) -> Trees:
    """A CatBoost model of one output with symmetric trees."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="fx-onnx-") as folder:
        model.save_model(f"{folder}/model.json", format="json")
        with open(f"{folder}/model.json", encoding="utf-8") as file:
            stored = json.load(file)
    if "oblivious_trees" not in stored:
        raise StoreError("ONNX export: the CatBoost model's trees are not symmetric. Leave out params.grow_policy.")
    scale, (bias,) = stored["scale_and_bias"][0], stored["scale_and_bias"][1]
    missing = {
        f["flat_feature_index"]: f.get("nan_value_treatment") == "AsTrue"
        for f in stored["features_info"]["float_features"]
    }
    found = Trees(float(bias))
    for tree in stored["oblivious_trees"]:
        splits = tree.get("splits") or []
        if any(split["split_type"] != "FloatFeature" for split in splits):
            raise StoreError("ONNX export: the CatBoost model splits on categories. Train it on numbers only.")
        _symmetric(found, splits, [scale * value for value in tree["leaf_values"]], missing)
        found.end_tree()
    return found


def _symmetric(found: Trees, splits: Iterable[Mapping[str, Any]], leaves: list[float], missing: dict) -> None:
    """A symmetric tree as a plain one: level k asks split k, whose answer is bit k of the leaf's number."""
    levels = list(splits)
    depth = len(levels)
    for level, split in enumerate(levels):
        feature = split["float_feature_index"]
        for place in range(2**level):
            node = 2**level - 1 + place
            # place holds the answers so far, the first one as its lowest bit.
            no, yes = (2 ** (level + 1) - 1 + place + bit * 2**level for bit in (0, 1))
            found.branch(node, ABOVE, feature, float(np.float32(split["border"])), yes, no, missing.get(feature, False))
    for place in range(2**depth):
        found.leaf(2**depth - 1 + place, leaves[place])


def _not_above(threshold: float) -> float:
    """The largest float32 that is not above a float64: for every float32 x, x <= it exactly when x <= threshold."""
    near = np.float32(threshold)
    return float(np.nextafter(near, np.float32(-np.inf)) if float(near) > threshold else near)
