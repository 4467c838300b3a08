"""The moments that a factor keeps of its readings, and what a reading does to them.

With a and r the shares of what was there and of the reading (a + r = 1), x the reading, age its
age, dx = x - m and dt = L - age:

    Q  = a^2 Q + 2 a r         V   = a V + a r dx^2
    Vtt = a Vtt + a r dt^2     Vtx = a Vtx + a r dx dt
    m += r dx                  L  = a L + r age           E = a^2 E + r^2

West 1979 and Finch 2009 (V), Kish (Q), Chan, Golub & LeVeque 1983 (comoments); all terms of Q are
positive, so nothing cancels. Of all these only L depends on the time that passes.

A reading that stands for a time takes its weight piece by piece. What it had before, the share s,
counts together with the new piece r where weights are squared: then 2 a r (1 - s) in Q, and
2 a s r more in E.
"""

from math import isfinite
from typing import NamedTuple

from stream_ewma.columns import Float64
from stream_ewma.jit import inner_kernel
from stream_ewma.smoothing.layout import Places


class Moments(NamedTuple):
    """The moments of one factor: see `Places`; 0 where one is not kept.

    Attributes:
        mean: m.
        spread: Q.
        variance: V.
        seeded: E.
        lag: L.
        of_time: Vtt.
        with_time: Vtx.
        share: s, of the last reading.
    """

    mean: float
    spread: float
    variance: float
    seeded: float
    lag: float
    of_time: float
    with_time: float
    share: float


@inner_kernel
def load_moments(numbers: Float64, at: int, places: Places) -> Moments:
    """The moments of the factor whose words begin at `at`."""
    spread, variance, seeded, lag, of_time, with_time, share = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if places.spread >= 0:
        word = at + places.spread
        spread, variance = float(numbers[word]), float(numbers[word + 1])
    if places.seeded >= 0:
        seeded = float(numbers[at + places.seeded])
    if places.line >= 0:
        word = at + places.line
        lag, of_time = float(numbers[word]), float(numbers[word + 1])
        with_time = float(numbers[word + 2])
    if places.share >= 0:
        share = float(numbers[at + places.share])
    mean = float(numbers[at + places.mean])
    return Moments(mean, spread, variance, seeded, lag, of_time, with_time, share)


@inner_kernel
def store_moments(numbers: Float64, at: int, places: Places, moments: Moments) -> bool:
    """Write down those that are kept; answers whether they all are finite."""
    sound = isfinite(moments.mean)
    numbers[at + places.mean] = moments.mean
    if places.spread >= 0:
        word = at + places.spread
        numbers[word], numbers[word + 1] = moments.spread, moments.variance
        sound = sound and isfinite(moments.variance)
    if places.seeded >= 0:
        numbers[at + places.seeded] = moments.seeded
    if places.share >= 0:
        numbers[at + places.share] = moments.share
    if places.line >= 0:
        word = at + places.line
        numbers[word], numbers[word + 1] = moments.lag, moments.of_time
        numbers[word + 2] = moments.with_time
        sound = sound and isfinite(moments.of_time) and isfinite(moments.with_time)
    return sound


@inner_kernel
def absorbed(
    moments: Moments, x: float, a: float, r: float, elapsed: float, age: float, again: bool
) -> Moments:
    """The moments with a reading `x` of the shares `a` and `r`.

    Args:
        moments: those before it.
        x: the reading.
        a: the share of what was there.
        r: the share of the reading.
        elapsed: how far the reference of L moves on.
        age: how old the reading is at the new reference.
        again: it is the last reading, and stands for more time.
    """
    share = moments.share if again else 0.0
    dx, ar = x - moments.mean, a * r
    lag = moments.lag + elapsed
    dt = lag - age
    return Moments(
        mean=x if r == 1.0 else moments.mean + r * dx,
        spread=a * a * moments.spread + 2.0 * ar * (1.0 - share),
        variance=a * moments.variance + ar * dx * dx,
        seeded=a * a * moments.seeded + 2.0 * ar * share + r * r,
        lag=a * lag + r * age,
        of_time=a * moments.of_time + ar * dt * dt,
        with_time=a * moments.with_time + ar * dx * dt,
        share=a * share + r,
    )
