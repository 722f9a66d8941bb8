"""Window sums, exponential means, moments and extremes by ladders: each step joins windows to one several times longer.

A window of w * r bars is r windows of w bars side by side, joined in an order that is fixed relative to the newest
bar. So a value has the same bits wherever the computation started, as if its window had been summed alone, yet a bar
costs the number of steps, not the length of the window. In the first rows, where a window would begin before the
arrays do, the results mean nothing; they are finite.

Each loop writes one array, so that the compiler can prove that rows do not touch and works on several at once.
"""

from __future__ import annotations

from fx_assets.features.kernels.compiled import kernel


@kernel("void(f8[::1], i8, i8, f8, f8[::1])")
def stretch(x, w, radix, f, y):
    """y(i) = x(i) + f x(i - w) + f^2 x(i - 2w) + ..., `radix` (2, 3, 4, 5 or 7) terms. y must not be x."""
    n = len(x)
    h = (radix - 1) * w
    y[:h] = x[:h]
    out, x0, x1 = y[h:], x[h:], x[h - w : n - w]
    m = n - h
    if radix == 2:
        for j in range(m):
            out[j] = x0[j] + f * x1[j]
        return
    x2 = x[h - 2 * w : n - 2 * w]
    if radix == 3:
        for j in range(m):
            out[j] = x0[j] + f * (x1[j] + f * x2[j])
        return
    x3 = x[h - 3 * w : n - 3 * w]
    if radix == 4:
        for j in range(m):
            out[j] = x0[j] + f * (x1[j] + f * (x2[j] + f * x3[j]))
        return
    x4 = x[h - 4 * w : n - 4 * w]
    if radix == 5:
        for j in range(m):
            out[j] = x0[j] + f * (x1[j] + f * (x2[j] + f * (x3[j] + f * x4[j])))
        return
    x5, x6 = x[h - 5 * w : n - 5 * w], x[: n - 6 * w]
    for j in range(m):
        out[j] = x0[j] + f * (x1[j] + f * (x2[j] + f * (x3[j] + f * (x4[j] + f * (x5[j] + f * x6[j])))))


@kernel("i8(i8)")
def radix_of(rest):
    """The next step's factor of a window that is still to be stretched `rest` times."""
    for radix in (4, 2, 3, 5):
        if rest % radix == 0:
            return radix
    return 7


@kernel("void(f8[::1], f8, i8, f8[::1], f8[::1], f8[::1])")
def ladder(x, f, bars, a, b, y):
    """y(i) = sum of f^k x(i - k) for k below `bars`, a product of 2, 3, 5 and 7. a, b: scratch; none may be y or x."""
    w, rest = 1, bars
    source, target, other = x, a, b
    while True:
        radix = radix_of(rest)
        if rest == radix:
            stretch(source, w, radix, f, y)
            return
        stretch(source, w, radix, f, target)
        step = f
        for _ in range(radix - 1):
            f *= step
        w, rest = w * radix, rest // radix
        source, target, other = target, other, target


@kernel("void(f8[::1], i8, i8, f8[::1])")
def average(x, w, radix, y):
    """y: mean of `radix` (2, 3, 4 or 5) values w bars apart; exactly x where x does not change."""
    n = len(x)
    h = (radix - 1) * w
    y[:h] = x[:h]
    out, x0, x1 = y[h:], x[h:], x[h - w : n - w]
    m = n - h
    if radix == 2:
        for j in range(m):
            out[j] = x0[j] + (x1[j] - x0[j]) * 0.5
        return
    x2 = x[h - 2 * w : n - 2 * w]
    if radix == 3:
        for j in range(m):
            v = x0[j]
            out[j] = v + ((x1[j] - v) + (x2[j] - v)) * (1.0 / 3.0)
        return
    x3 = x[h - 3 * w : n - 3 * w]
    if radix == 4:
        for j in range(m):
            v = x0[j]
            out[j] = v + ((x1[j] - v) + (x2[j] - v) + (x3[j] - v)) * 0.25
        return
    x4 = x[: n - 4 * w]
    for j in range(m):
        v = x0[j]
        out[j] = v + ((x1[j] - v) + (x2[j] - v) + (x3[j] - v) + (x4[j] - v)) * 0.2


@kernel("void(f8[::1], i8, i8, f8[::1])")
def _apart(x, w, radix, y):
    """y += squared deviations of `radix` means x, w bars apart and each of w values, from their mean."""
    n = len(x)
    h = (radix - 1) * w
    out, x0, x1 = y[h:], x[h:], x[h - w : n - w]
    m = n - h
    share = w / radix
    if radix == 2:
        for j in range(m):
            a = x1[j] - x0[j]
            out[j] += share * (a * a)
        return
    x2 = x[h - 2 * w : n - 2 * w]
    if radix == 3:
        for j in range(m):
            a, b = x1[j] - x0[j], x2[j] - x0[j]
            out[j] += share * (3.0 * (a * a + b * b) - (a + b) * (a + b))
        return
    x3 = x[h - 3 * w : n - 3 * w]
    if radix == 4:
        for j in range(m):
            a, b, c = x1[j] - x0[j], x2[j] - x0[j], x3[j] - x0[j]
            out[j] += share * (4.0 * (a * a + b * b + c * c) - (a + b + c) * (a + b + c))
        return
    x4 = x[: n - 4 * w]
    for j in range(m):
        a, b, c, d = x1[j] - x0[j], x2[j] - x0[j], x3[j] - x0[j], x4[j] - x0[j]
        out[j] += share * (5.0 * (a * a + b * b + c * c + d * d) - (a + b + c + d) * (a + b + c + d))


@kernel("UniTuple(f8[::1], 2)(f8[::1], i8, f8[:, ::1], f8[:, ::1])")
def moments(x, bars, means, squares):
    """Mean, and sum of squared deviations from it, over `bars`, a product of 2, 3 and 5.

    Both are exact where x does not change: x, and zero. means, squares: scratch of two rows each; the results are
    among them. Source: Chan, Golub and LeVeque (1983), joining sums of squares of samples.
    """
    w, rest, side = 1, bars, 0
    mean, square = x, squares[1]
    while rest > 1:
        radix = radix_of(rest)
        if w == 1:
            squares[side] = 0.0
        else:
            stretch(square, w, radix, 1.0, squares[side])
        _apart(mean, w, radix, squares[side])
        average(mean, w, radix, means[side])
        mean, square = means[side], squares[side]
        w, rest, side = w * radix, rest // radix, 1 - side
    return mean, square


@kernel("void(f8[::1], i8, f8[::1])")
def larger(x, gap, y):
    """y(i) = the larger of x(i) and x(i - gap)."""
    y[:gap] = x[:gap]
    out, newer, older = y[gap:], x[gap:], x[: len(x) - gap]
    for j in range(len(out)):
        out[j] = older[j] if older[j] > newer[j] else newer[j]


@kernel("void(f8[::1], i8, f8[::1])")
def smaller(x, gap, y):
    """y(i) = the smaller of x(i) and x(i - gap)."""
    y[:gap] = x[:gap]
    out, newer, older = y[gap:], x[gap:], x[: len(x) - gap]
    for j in range(len(out)):
        out[j] = older[j] if older[j] < newer[j] else newer[j]


@kernel("void(f8[::1], f8[::1], i8, f8, f8[::1])")
def age(x, ages, gap, sign, y):
    """How old the extreme of a joined window is, 0 = newest; the latest of equals.

    x: the extremes of the two windows' length; ages: theirs; sign: 1 for the highest, -1 for the lowest.
    """
    y[:gap] = ages[:gap]
    n = len(x)
    out, newer, older, new_age, old_age = y[gap:], x[gap:], x[: n - gap], ages[gap:], ages[: n - gap]
    for j in range(n - gap):
        out[j] = old_age[j] + gap if sign * older[j] > sign * newer[j] else new_age[j]


@kernel("void(f8[::1], i8, f8[::1], f8[::1])")
def rank(x, bars, below, y):
    """y: share of the last `bars` values below the newest, ties counted half, in [0, 1]; the newest rows of x.

    below: scratch. bars: a multiple of 8.
    """
    size = len(y)
    first = len(x) - size
    newest = x[first:]
    count = below[:size]
    count[:] = 0.0
    for k in range(0, bars, 4):
        a, b = x[first - k : first - k + size], x[first - k - 1 : first - k - 1 + size]
        c, d = x[first - k - 2 : first - k - 2 + size], x[first - k - 3 : first - k - 3 + size]
        for j in range(size):
            v = newest[j]
            t = count[j]
            t += (1.0 if a[j] < v else 0.0) + (1.0 if a[j] <= v else 0.0)
            t += (1.0 if b[j] < v else 0.0) + (1.0 if b[j] <= v else 0.0)
            t += (1.0 if c[j] < v else 0.0) + (1.0 if c[j] <= v else 0.0)
            t += (1.0 if d[j] < v else 0.0) + (1.0 if d[j] <= v else 0.0)
            count[j] = t
    # The newest is equal to itself: that one half tie does not count.
    for j in range(size):
        y[j] = (count[j] - 1.0) / (2.0 * (bars - 1))
