"""What a candidate becomes: its seed members, the calibrator above them, and the features it takes, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from fx_assets.evaluation import calibration, estimators
from fx_assets.evaluation.calibration import Calibrator
from fx_assets.evaluation.estimators.base import Fitted

FORMAT = 1


class Stored(msgspec.Struct, frozen=True):
    """The file."""

    format: int
    algorithm: str
    target: str
    features: list[str]
    members: list[bytes]
    calibration: str
    numbers: list[list[float]]
    scale: float | None


@dataclass(frozen=True)
class Predictor:
    """members: equal candidates fitted with different seeds, whose predictions are averaged.

    calibrator: applied to the average; only for a binary target. features: names of the columns, in order.
    scale: for a real target, the standard deviation of what the model leaves unexplained.
    """

    members: tuple[Fitted, ...]
    calibrator: Calibrator | None
    features: tuple[str, ...]
    target: str = "binary"
    scale: float | None = None

    @property
    def algorithm(self) -> str:
        return self.members[0].algorithm

    def predict(self, x: np.ndarray) -> np.ndarray:
        """float64 (n,) for float32 (n, features): P(label = 1), or the value for a real target."""
        mean = average(self.members, x)
        return mean if self.calibrator is None else self.calibrator.apply(mean)

    def probability(self, x: np.ndarray) -> np.ndarray:
        """P(label = 1); for a real target the probability of a value above 0 under normal errors."""
        return implied_probability(self.predict(x), self.scale) if self.target == "real" else self.predict(x)

    def importance(self) -> dict[int, float]:
        """Share of each feature index, averaged over the members."""
        total: dict[int, float] = {}
        for member in self.members:
            for index, share in member.importance().items():
                total[index] = total.get(index, 0.0) + share / len(self.members)
        return dict(sorted(total.items()))

    def contributions(self, x: np.ndarray) -> np.ndarray | None:
        """SHAP values (n, features) before the calibrator, averaged over the members; None where one has none."""
        parts = [member.contributions(x) for member in self.members]
        known = [part for part in parts if part is not None]
        return np.mean(known, axis=0) if len(known) == len(parts) else None

    def save(self) -> bytes:
        """The predictor as msgpack; equal predictors give equal bytes."""
        return msgspec.msgpack.encode(
            Stored(
                FORMAT,
                self.algorithm,
                self.target,
                list(self.features),
                [member.save() for member in self.members],
                "none" if self.calibrator is None else self.calibrator.method,
                [] if self.calibrator is None else self.calibrator.numbers(),
                self.scale,
            )
        )

    @classmethod
    def load(cls, raw: bytes) -> Predictor:
        """What `save` gave. Raises ValueError for anything else."""
        try:
            stored = msgspec.msgpack.decode(raw, type=Stored)
        except ValueError as error:
            raise ValueError(f"{len(raw)} bytes are no stored model: {error}. Register the version again.") from None
        if stored.format != FORMAT:
            raise ValueError(f"model format {stored.format} is not {FORMAT}. Read it with the version that wrote it.")
        members = tuple(estimators.load(stored.algorithm, part) for part in stored.members)
        calibrator = calibration.restore(stored.calibration, stored.numbers)
        return cls(members, calibrator, tuple(stored.features), stored.target, stored.scale)


def average(members: Sequence[Fitted], x: np.ndarray) -> np.ndarray:
    """Mean prediction of the members, float64 (n,)."""
    if len(members) == 1:
        return members[0].predict(x)
    return np.mean([member.predict(x) for member in members], axis=0)


def implied_probability(value: np.ndarray, scale: float | None) -> np.ndarray:
    """P(outcome > 0) for a forecast value whose error is normal with standard deviation `scale`."""
    from scipy.special import ndtr

    return ndtr(value / scale) if scale else np.full(len(value), 0.5)
