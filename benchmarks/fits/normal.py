"""The rational function of `tidu.ir.mathematics.normal` for Φ(x) - 1/2 = x P(x²)/Q(x²): least
squares with weights that are raised where the error is greatest, until it is about even (Lawson).

    python benchmarks/fits/normal.py

prints both polynomials, highest power first, and the greatest error.
"""

from __future__ import annotations

import numpy as np
from scipy.special import erf

END, DEGREE, ROUNDS = 5.5, 5, 200


def fit() -> tuple[np.ndarray, np.ndarray, float]:
    """P and Q, lowest power first, and the greatest error of x P(x²)/Q(x²)."""
    x = (1 + np.cos(np.linspace(0, np.pi, 6000))) * (END / 2)
    x = x[x > 1e-6]
    wanted = erf(x / np.sqrt(2)) / (2 * x)
    square = (x / END) ** 2
    powers = square[:, None] ** np.arange(DEGREE + 1)
    bottom, importance = np.ones_like(x), np.ones_like(x)
    best = (np.zeros(0), np.zeros(0), np.inf)
    for _ in range(ROUNDS):
        # P - wanted Q is small where their ratio is near; Q of the round before makes it the ratio.
        weight = np.sqrt(importance) * x / bottom
        matrix = np.concatenate([powers, -wanted[:, None] * powers[:, 1:]], axis=1)
        found = np.linalg.lstsq(matrix * weight[:, None], wanted * weight, rcond=None)[0]
        p, q = found[: DEGREE + 1], np.concatenate([[1.0], found[DEGREE + 1 :]])
        bottom = powers @ q
        errors = np.abs(x * (powers @ p / bottom - wanted))
        worst = float(errors.max())
        if worst < best[2]:
            scale = END ** (2.0 * np.arange(DEGREE + 1))
            best = (p / scale, q / scale, worst)
        importance *= errors / worst + 1e-3
        importance /= importance.mean()
    return best


if __name__ == "__main__":
    top, bottom, error = fit()
    print(f"top    = {top[::-1].tolist()}\nbottom = {bottom[::-1].tolist()}")
    print(f"error  = 2**{np.log2(error):.1f}")
