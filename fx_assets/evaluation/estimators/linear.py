"""Logistic regression (ridge regression for a real target) on standardised features, by Newton's method.

Mean and scale are the weighted ones of the training rows; standardised values are clipped, since one wild value would
otherwise decide a forecast; a missing value counts as the mean. Everything is float64 and stored as such.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from fx_assets.evaluation.estimators.base import refuse_reserved, refuse_unknown, shares, sigmoid

CLIP = 5.0
RIDGE = 10.0
CHUNK = 65_536
ITERATIONS = 30  # of Newton's method, where the candidate does not say; it seldom takes ten
TOLERANCE = 1e-9
_ALLOWED = frozenset({"ridge", "clip"})


class Stored(msgspec.Struct, frozen=True):
    """The file: arrays as little-endian float64."""

    mean: bytes
    scale: bytes
    coefficients: bytes
    intercept: float
    clip: float
    target: str


@dataclass(frozen=True)
class FittedLinear:
    """z = clip((x - mean) / scale, -clip, clip), 0 where x is NaN; margin = z @ coefficients + intercept."""

    mean: np.ndarray
    scale: np.ndarray
    coefficients: np.ndarray
    intercept: float
    clip: float
    target: str
    algorithm: str = "logistic"

    def predict(self, x: np.ndarray) -> np.ndarray:
        margin = np.empty(len(x))
        for begin in range(0, len(x), CHUNK):
            part = x[begin : begin + CHUNK]
            margin[begin : begin + CHUNK] = _standard(part, self.mean, self.scale, self.clip) @ self.coefficients
        margin += self.intercept
        return sigmoid(margin) if self.target == "binary" else margin

    def save(self) -> bytes:
        mean, scale, coefficients = (
            np.ascontiguousarray(a, "<f8").tobytes() for a in (self.mean, self.scale, self.coefficients)
        )
        return msgspec.msgpack.encode(Stored(mean, scale, coefficients, self.intercept, self.clip, self.target))

    def importance(self) -> dict[int, float]:
        return shares({k: abs(float(c)) for k, c in enumerate(self.coefficients)})

    def contributions(self, x: np.ndarray) -> np.ndarray:
        return _standard(x, self.mean, self.scale, self.clip) * self.coefficients


def fit(candidate, x, y, w, seed, nthread, target, shared) -> FittedLinear:
    """As `estimators.fit`. params: ridge (penalty on the standardised coefficients, in rows), clip (deviations).

    rounds: the most steps; seed and threads do not matter.
    """
    from threadpoolctl import threadpool_limits

    params = refuse_reserved(candidate, frozenset())
    if unknown := set(params) - _ALLOWED:
        refuse_unknown({"algorithm": "logistic", **candidate}, unknown)
    ridge, clip = float(params.get("ridge", RIDGE)), float(params.get("clip", CLIP))
    steps = int(candidate.get("rounds", ITERATIONS))
    with threadpool_limits(1):  # one thread is the faster one here, and gives the same bits on every machine
        return _newton(x, y, w, ridge, clip, steps, target, {} if shared is None else shared)


def _newton(x, y, w, ridge: float, clip: float, steps: int, target: str, kept: dict) -> FittedLinear:
    mean, scale = _moments(x, w)
    beta = np.zeros(x.shape[1] + 1)
    if target == "binary":
        rate = float(np.clip(w @ y / w.sum(), 1e-6, 1 - 1e-6))
        beta[-1] = np.log(rate / (1.0 - rate))
    penalty = np.full(len(beta), ridge)
    penalty[-1] = 1e-9
    if ("logistic", clip) not in kept:
        kept["logistic", clip] = _standard(x, mean, scale, clip)
    z = kept["logistic", clip]
    loss = _loss(z, y, w, beta, penalty, target)
    for _ in range(steps):
        gradient, hessian = _slope(z, y, w, beta, target)
        change = np.linalg.solve(hessian + np.diag(penalty), gradient - penalty * beta)
        size = 1.0
        # Newton's step is halved where it overshoots: perfectly separable rows would send it astray.
        while True:
            tried = beta + size * change
            now = _loss(z, y, w, tried, penalty, target)
            if now <= loss + 1e-12 * abs(loss) or size < 1e-4:
                break
            size /= 2
        done = np.abs(tried - beta).max() < TOLERANCE
        beta, loss = tried, now
        if done:
            break
    return FittedLinear(mean, scale, beta[:-1], float(beta[-1]), clip, target)


def load(algorithm: str, raw: bytes) -> FittedLinear:
    """As `estimators.load`."""
    stored = msgspec.msgpack.decode(raw, type=Stored)
    arrays = [np.frombuffer(part, "<f8") for part in (stored.mean, stored.scale, stored.coefficients)]
    return FittedLinear(*arrays, intercept=stored.intercept, clip=stored.clip, target=stored.target)


def _moments(x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of each column's known values; 0 and 1 where they cannot be stated."""
    mass, first = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    second = np.zeros(x.shape[1])
    for known, part, weight in _parts(x, w):
        mass += weight @ known
        first += weight @ part
    mean = np.divide(first, mass, out=np.zeros_like(first), where=mass > 0)
    for known, part, weight in _parts(x, w):
        second += weight @ (np.where(known > 0, part - mean, 0.0) ** 2)
    spread = np.sqrt(np.divide(second, mass, out=np.zeros_like(second), where=mass > 0))
    return mean, np.where(spread > 1e-12 * np.maximum(1.0, np.abs(mean)), spread, np.inf)


def _parts(x, w):
    for begin in range(0, len(x), CHUNK):
        part = x[begin : begin + CHUNK].astype(np.float64)
        known = np.isfinite(part)
        yield known.astype(np.float64), np.where(known, part, 0.0), w[begin : begin + CHUNK]


def _standard(x: np.ndarray, mean: np.ndarray, scale: np.ndarray, clip: float) -> np.ndarray:
    z = np.clip((x.astype(np.float64) - mean) / scale, -clip, clip)
    return np.nan_to_num(z, copy=False, nan=0.0)


def _slope(z, y, w, beta, target) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the log likelihood (of minus half the squares) and minus its Hessian, in chunks."""
    f = z.shape[1]
    gradient, hessian = np.zeros(f + 1), np.zeros((f + 1, f + 1))
    for begin in range(0, len(z), CHUNK):
        part, weight = z[begin : begin + CHUNK], w[begin : begin + CHUNK]
        margin = part @ beta[:-1] + beta[-1]
        p = sigmoid(margin) if target == "binary" else margin
        error = weight * (y[begin : begin + CHUNK] - p)
        curve = weight * p * (1.0 - p) if target == "binary" else weight
        bent = part * np.sqrt(curve)[:, None]
        hessian[:f, :f] += bent.T @ bent
        side = part.T @ curve
        hessian[:f, f] += side
        hessian[f, :f] += side
        hessian[f, f] += curve.sum()
        gradient[:f] += part.T @ error
        gradient[f] += error.sum()
    return gradient, hessian


def _loss(z, y, w, beta, penalty, target) -> float:
    margin = z @ beta[:-1] + beta[-1]
    row = np.logaddexp(0.0, margin) - y * margin if target == "binary" else 0.5 * (y - margin) ** 2
    return float(w @ row + 0.5 * (penalty * beta**2).sum())
