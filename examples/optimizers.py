"""SGD with momentum, RMSProp and Adam, built from `Ewma` objects.

    python examples/optimizers.py

Every optimizer that remembers gradients does so with exponentially weighted means. On a small
least-squares problem each one takes the very steps of its published recurrence (to rounding):

    momentum (Polyak 1964)       u = mu u + g               a mean that starts from 0, / (1 - mu)
    RMSProp  (Hinton 2012)       v = rho v + (1 - rho) g^2  a mean that starts from 0
    Adam     (Kingma & Ba 2015)  m / (1 - beta^t)           a mean with bias correction
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_ewma import Ewma

Vector: TypeAlias = NDArray[np.float64]
Gradient: TypeAlias = Callable[[Vector], Vector]

STEPS = 400
RATE, MU, RHO, BETA_1, BETA_2, EPSILON = 0.02, 0.9, 0.9, 0.9, 0.999, 1e-8
SAME = 1e-14
"""The two ways differ in the order of operations, so in the last digits."""


class Means:
    """One mean for each weight of a model."""

    def __init__(self, weights: int, alpha: float, *, debiased: bool) -> None:
        # A seed of value 0 is how recurrences "initialised with zeros" begin.
        self.means = [
            Ewma(alpha=alpha, adjust=True) if debiased else Ewma(alpha=alpha, seed={"value": 0.0})
            for _ in range(weights)
        ]

    def update(self, x: Vector) -> Vector:
        """The means after one more value each."""
        return np.array([mean.update(value) for mean, value in zip(self.means, x, strict=True)])


def momentum(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    velocity = Means(len(w), 1 - MU, debiased=False)
    while True:
        w = w - RATE * velocity.update(gradient(w)) / (1 - MU)
        yield w


def rmsprop(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    squares = Means(len(w), 1 - RHO, debiased=False)
    while True:
        g = gradient(w)
        w = w - RATE * g / (np.sqrt(squares.update(g * g)) + EPSILON)
        yield w


def adam(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    first, second = (Means(len(w), 1 - beta, debiased=True) for beta in (BETA_1, BETA_2))
    while True:
        g = gradient(w)
        w = w - RATE * first.update(g) / (np.sqrt(second.update(g * g)) + EPSILON)
        yield w


def published_momentum(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    u = np.zeros_like(w)
    while True:
        u = MU * u + gradient(w)
        w = w - RATE * u
        yield w


def published_rmsprop(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    v = np.zeros_like(w)
    while True:
        g = gradient(w)
        v = RHO * v + (1 - RHO) * g**2
        w = w - RATE * g / (np.sqrt(v) + EPSILON)
        yield w


def published_adam(gradient: Gradient, w: Vector) -> Iterator[Vector]:
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        t += 1
        g = gradient(w)
        m = BETA_1 * m + (1 - BETA_1) * g
        v = BETA_2 * v + (1 - BETA_2) * g**2
        m_hat, v_hat = m / (1 - BETA_1**t), v / (1 - BETA_2**t)
        w = w - RATE * m_hat / (np.sqrt(v_hat) + EPSILON)
        yield w


def main() -> None:
    generator = np.random.default_rng(7)
    inputs = generator.normal(size=(200, 3)) * [1.0, 2.0, 0.5]
    true = np.array([1.0, -2.0, 0.5])
    targets = inputs @ true + generator.normal(scale=0.1, size=200)
    optimum = np.linalg.lstsq(inputs, targets)[0]

    def gradient(w: Vector) -> Vector:
        return inputs.T @ (inputs @ w - targets) / len(inputs)

    pairs = {
        "momentum": (momentum, published_momentum),
        "RMSProp": (rmsprop, published_rmsprop),
        "Adam": (adam, published_adam),
    }
    for name, (ours, published) in pairs.items():
        start, furthest = np.zeros(3), 0.0
        for _, w, expected in zip(
            range(STEPS), ours(gradient, start), published(gradient, start), strict=False
        ):
            furthest = max(furthest, float(np.abs(w - expected).max()))
            assert furthest <= SAME, f"{name} left its recurrence"
        distance = float(np.abs(w - optimum).max())
        assert distance < 0.02, f"{name} did not find the optimum"
        print(f"{name:9}{STEPS} steps, never more than {furthest:.0e} from its recurrence, "
              f"{distance:.4f} from the optimum")  # fmt: skip


if __name__ == "__main__":
    main()
