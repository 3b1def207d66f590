"""The line search of L-BFGS: a step length that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from tidu.tensor import Tensor


class Point(NamedTuple):
    """The objective at distance `t` along the search direction."""

    t: float
    loss: float
    grad: Tensor
    slope: float  # of the objective along the direction


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points with their slopes is smallest, kept within [low, high].

    The middle of the interval where there is no such cubic, or where it has no minimum.
    """
    if a.t > b.t:
        a, b = b, a
    width = b.t - a.t
    middle = (low + high) / 2.0
    if width == 0:
        return middle
    mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = mean * mean - a.slope * b.slope
    if not square >= 0:  # NaN too
        return middle
    root = math.sqrt(square)
    bend = b.slope - a.slope + 2 * root
    if bend == 0:
        return middle
    return min(max(b.t - width * ((b.slope + root - mean) / bend), low), high)


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    direction_norm: float,
    most_iterations: int,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
) -> tuple[Point, int]:
    """Search from `start` (at t = 0), first at `t`; the point found, and the number of evaluations.

    Sufficient decrease, f(t) ≤ f(0) + c₁·t·f'(0), and curvature, |f'(t)| ≤ −c₂·f'(0). The first
    phase moves on until an interval must hold such a point, the second narrows the interval.
    Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6.
    """
    wanted_slope = -c2 * start.slope

    def decreases_too_little(point: Point) -> bool:
        return point.loss > start.loss + c1 * point.t * start.slope

    previous, point = start, evaluate(t)
    evaluations = 1
    iteration = 0
    while True:
        if iteration >= most_iterations:
            return min(start, point, key=lambda end: end.loss), evaluations
        if decreases_too_little(point) or (iteration > 1 and point.loss >= previous.loss):
            break
        if abs(point.slope) <= wanted_slope:
            return point, evaluations
        if point.slope >= 0:
            break
        t = cubic_minimum(previous, point, point.t + 0.01 * (point.t - previous.t), point.t * 10)
        previous, point = point, evaluate(t)
        evaluations += 1
        iteration += 1

    low, high = (previous, point) if previous.loss <= point.loss else (point, previous)
    stalled = False
    while iteration < most_iterations and abs(high.t - low.t) * direction_norm >= tolerance_change:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = cubic_minimum(low, high, left, right)
        # Too close to an end twice in a row, or at an end: go a tenth of the interval inwards.
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            if stalled or t >= right or t <= left:
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                stalled = False
            else:
                stalled = True
        else:
            stalled = False
        point = evaluate(t)
        evaluations += 1
        iteration += 1
        if decreases_too_little(point) or point.loss >= low.loss:
            high = point
            if high.loss < low.loss:
                low, high = high, low
            continue
        if abs(point.slope) <= wanted_slope:
            return point, evaluations
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, evaluations
