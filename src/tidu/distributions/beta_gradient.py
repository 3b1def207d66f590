"""How samples of beta and Dirichlet distributions move with their concentrations."""

from __future__ import annotations

from typing import Any

from tidu.tensor import namespaces

__all__ = ["scaled_derivative"]

digamma = namespaces["torch"]["digamma"]
where = namespaces["torch"]["where"]


def scaled_derivative(x: Any, alpha: Any, total: Any) -> Any:
    """-(∂F/∂α) / (∂F/∂x) / (1 - x) for the distribution function F of Beta(α, total - α).

    By series near 0 and near 1, by Rice's saddle point expansion where both parameters are large,
    and elsewhere by a fitted correction of an approximation, all of which follow PyTorch.
    """
    beta = total - alpha
    boundary = total * x * (1 - x)
    large = (alpha > 6) & (beta > 6)
    result = where(large, _saddle(x, alpha, beta), _fitted(x, alpha, total))
    near_one = (x >= 0.5) & (boundary < 0.75)
    result = where(near_one, -_by_beta_near_zero(1 - x, beta, alpha), result)
    near_zero = (x <= 0.5) & (boundary < 2.5)
    return where(near_zero, _by_alpha_near_zero(x, alpha, beta), result)


def _by_alpha_near_zero(x: Any, alpha: Any, beta: Any) -> Any:
    factor = digamma(alpha) - digamma(alpha + beta) - x.log()
    numerator: Any = 1.0
    series = 1 / alpha * (factor + 1 / alpha)
    for i in range(1, 11):
        numerator = numerator * (i - beta) * x / i
        denominator = alpha + i
        series = series + numerator / denominator * (factor + 1 / denominator)
    result = x * (1 - x) ** -beta * series
    return where(result.isnan(), 0.0, result)


def _by_beta_near_zero(x: Any, alpha: Any, beta: Any) -> Any:
    factor = digamma(alpha + beta) - digamma(beta)
    numerator: Any = 1.0
    product: Any = 1.0
    slope: Any = 0.0
    series = factor / alpha
    for i in range(1, 9):
        numerator = numerator * -x / i
        slope = slope * (beta - i) + product
        product = product * (beta - i)
        series = series + numerator / (alpha + i) * (slope + factor * product)
    result = -((1 - x) ** (1 - beta)) * series
    return where(result.isnan(), 0.0, result)


def _saddle(x: Any, alpha: Any, beta: Any) -> Any:
    total = alpha + beta
    mean = alpha / total
    spread = (alpha * beta / (total + 1)).sqrt() / total
    central = (mean - 0.1 * spread <= x) & (x <= mean + 0.1 * spread)
    return where(central, _at_mean(x, alpha, beta, total), _off_mean(x, alpha, beta, total))


def _at_mean(x: Any, a: Any, b: Any, total: Any) -> Any:
    """Around the mean, where the expansion has a singularity that can be removed."""
    polynomial = 47 * x * b**4 + a * (
        (43 + 20 * (16 + 27 * b) * x) * b**3
        + a
        * (
            3 * (59 + 180 * b - 90 * x) * b**2
            + a * ((453 + 1620 * b * (1 - x) - 455 * x) * b + a * (8 * (1 - x) * (135 * b - 11)))
        )
    )
    above = (1 + 12 * a) * (1 + 12 * b) / total**2
    below = 12960 * a**3 * b**2 * (1 + 12 * total)
    return above / (1 - x) * polynomial / below


def _off_mean(x: Any, a: Any, b: Any, total: Any) -> Any:
    prefactor = -x / (2 * a * b / total).sqrt()
    stirling = _stirling(a) * _stirling(b) / _stirling(total)
    offset = a * (x - 1) + b * x
    above = 2 * a**2 * (x - 1) + a * b * (x - 1) - x * b**2
    first = above / ((2 * a / b).sqrt() * total**1.5 * offset**2)
    second = 0.5 * (a / (total * x)).log()
    third = (8 * a * b / total).sqrt() / offset
    distance = b * (b / (total * (1 - x))).log() + a * (a / (total * x)).log()
    fourth = distance**-1.5
    below_mean = x < a / total
    return stirling * prefactor * (first + second * (third + where(below_mean, fourth, -fourth)))


def _stirling(x: Any) -> Any:
    return 1 + 1 / (12 * x) + 1 / (288 * x**2)


# For the powers 0 to 2 of log x, and of those of log(alpha / x): a polynomial in the third
# variable, above and below the line.
_ABOVE = (
    (1.003668233, -0.01061107488, -0.0657888334, 0.01201642863),
    (0.6336835991, -0.3557432599, 0.05486251648, -0.001465281033),
    (-0.03276231906, 0.004474107445, 0.002429354597, -0.0001557569013),
    (0.221950385, -0.3187676331, 0.01799915743, 0.01074823814),
    (-0.2951249643, 0.06219954479, 0.01535556598, 0.001550077057),
    (0.02155310298, 0.004170831599, 0.001292462449, 6.976601077e-05),
    (-0.05980841433, 0.008441916499, 0.01085618172, 0.002319392565),
    (0.02911413504, 0.01400243777, -0.002721828457, 0.000751041181),
    (0.005900514878, -0.001936558688, -9.495446725e-06, 5.385558597e-05),
)
_BELOW = (
    (1.0, -0.02924021934, -0.04438342661, 0.007285809825),
    (0.6357567472, -0.3473456711, 0.05454656494, -0.002407477521),
    (-0.03301322327, 0.004845219414, 0.00231480583, -0.0002307248149),
    (0.5925320577, -0.1757678135, 0.01505928619, 0.000564515273),
    (0.1014815858, -0.06589186703, 0.01272886114, -0.0007316646956),
    (-0.007258481865, 0.001096195486, 0.0003934994223, -4.12701925e-05),
    (0.06469649321, -0.0236701437, 0.002902096474, -5.896963079e-05),
    (0.001925008108, -0.002869809258, 0.0008000589141, -6.063713228e-05),
    (-0.0003477407336, 6.959756487e-05, 1.097287507e-05, -1.650964693e-06),
)


def _fitted(x: Any, alpha: Any, total: Any) -> Any:
    u = x.log()
    a = alpha.log() - u
    b = total.log() - a
    powers = [(i, j) for i in range(3) for j in range(3)]
    above = below = 0.0
    for (i, j), p, q in zip(powers, _ABOVE, _BELOW, strict=True):
        weight = u**i * a**j
        above = above + weight * (p[0] + b * (p[1] + b * (p[2] + b * p[3])))
        below = below + weight * (q[0] + b * (q[1] + b * (q[2] + b * q[3])))
    approximation = x * (digamma(total) - digamma(alpha)) / (total - alpha)
    return above / below * approximation
