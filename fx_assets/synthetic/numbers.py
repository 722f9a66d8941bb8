"""Random numbers by place instead of by order: the same key and index give the same number, always and everywhere.

The mixing function is SplitMix64 (Steele, Lea and Flood 2014). Normal numbers are sums of integers, so that no
mathematical library has a say in their last bit.
"""

from __future__ import annotations

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX1, _MIX2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_R30, _R27, _R31, _R11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_LANE, _LANES = np.uint64(0xFFFF), tuple(np.uint64(shift) for shift in (16, 32, 48))
# Four lanes of 16 bits: mean and standard deviation of their sum.
_MEAN, _SD = 4 * 65535 / 2, (4 * (65536**2 - 1) / 12) ** 0.5


def key(seed: int, *names: str | int) -> int:
    """A stream's number, below 2**64, from the market's seed and what the stream is for."""
    return int.from_bytes(hashlib.sha256(repr((seed, *names)).encode()).digest()[:8], "little")


def bits(stream: int, index: np.ndarray) -> np.ndarray:
    """64 random bits for each index (int64, negative ones too)."""
    z = index.astype(np.uint64) * _STEP + np.uint64(stream)
    z = (z ^ (z >> _R30)) * _MIX1
    z = (z ^ (z >> _R27)) * _MIX2
    return z ^ (z >> _R31)


def uniform(stream: int, index: np.ndarray) -> np.ndarray:
    """Numbers in (0, 1), neither end included."""
    return ((bits(stream, index) >> _R11).astype("float64") + 0.5) * 2.0**-53


def normal(stream: int, index: np.ndarray) -> np.ndarray:
    """Numbers with mean 0 and variance 1, nearly normal (within 3.5; excess kurtosis -0.3)."""
    z = bits(stream, index)
    total = z & _LANE
    for shift in _LANES:
        total = total + ((z >> shift) & _LANE)
    return (total.astype("float64") - _MEAN) / _SD


def fading(values: np.ndarray, ratio: float, doublings: int) -> np.ndarray:
    """sum over j < 2**doublings of ratio**j * values[t - j], along the last axis; shorter by 2**doublings - 1.

    By doubling, element by element: the same terms are added in the same order wherever the array starts.
    """
    lag, weight = 1, ratio
    for _ in range(doublings):
        values = values[..., lag:] + weight * values[..., :-lag]
        lag, weight = 2 * lag, weight * weight
    return values
