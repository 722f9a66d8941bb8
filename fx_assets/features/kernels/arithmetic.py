"""Scalars: quotients that stay finite, and functions whose bits do not depend on the machine's mathematics library."""

from __future__ import annotations

from fx_assets.features.kernels.compiled import kernel

RATIO_LIMIT = 1e6


@kernel("f8(f8, f8, f8)")
def ratio(top, bottom, default):
    """top / bottom within +-RATIO_LIMIT; `default` where bottom is zero."""
    zero = abs(bottom) < 1e-300
    quotient = top / (1.0 if zero else bottom)
    quotient = RATIO_LIMIT if quotient > RATIO_LIMIT else quotient
    quotient = -RATIO_LIMIT if quotient < -RATIO_LIMIT else quotient
    return default if zero else quotient


@kernel("f8(f8, f8, f8)")
def bounded(value, low, high):
    """value within low..high."""
    value = low if value < low else value
    return high if value > high else value


@kernel("f8(f8)")
def positive(value):
    """value, or zero where it is negative."""
    return value if value > 0.0 else 0.0


@kernel("f8(f8)")
def tanh(x):
    """Hyperbolic tangent to 1e-13: a Pade approximant of x / 8, doubled three times."""
    x = bounded(x, -20.0, 20.0) * 0.125
    s = x * x
    top = x * (34459425.0 + s * (4729725.0 + s * (135135.0 + s * (990.0 + s))))
    t = top / (34459425.0 + s * (16216200.0 + s * (945945.0 + s * (13860.0 + s * 45.0))))
    t = 2.0 * t / (1.0 + t * t)
    t = 2.0 * t / (1.0 + t * t)
    return 2.0 * t / (1.0 + t * t)
