"""What the smoothing is by definition: weighted sums over all readings, to 60 digits."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from stream_ewma.smoothing.mode import Weighting

DIGITS = 60
ONE, ZERO = Decimal(1), Decimal(0)


@dataclass
class Part:
    """A reading, or a seed, and the weight that it has in the end."""

    weight: Decimal
    x: Decimal
    time: Decimal
    is_reading: bool = True


def decay(elapsed: Decimal | int, half_life: Decimal) -> Decimal:
    return (-Decimal(2).ln() * elapsed / half_life).exp()


def event_parts(
    readings: Sequence[tuple[int, float, float]],
    half_life: float,
    seed: tuple[float, float] | None,
) -> list[Part]:
    """Of (time, x, own weight); a seed is (value, weight) and as old as the reading it met."""
    h, now = Decimal(half_life), max(time for time, _, _ in readings)
    parts = [Part(Decimal(u) * decay(now - t, h), Decimal(x), Decimal(t)) for t, x, u in readings]
    if seed:
        first = readings[0][0]
        weight = Decimal(seed[1]) * decay(now - first, h)
        parts.append(Part(weight, Decimal(seed[0]), Decimal(first), is_reading=False))
    return parts


def count_parts(
    readings: Sequence[tuple[float | None, float]],
    alpha: float,
    *,
    adjust: bool,
    ignore_na: bool,
    seed: tuple[float, float] | None = None,
    seed_readings: int = 0,
) -> list[Part]:
    """Of (x or None, own weight); times are readings, or all that came if missing ones age."""
    a = Decimal(alpha)
    parts: list[Part] = []
    if seed:
        parts.append(Part(Decimal(seed[1]), Decimal(seed[0]), ZERO, is_reading=False))
    count, now = 0, ZERO
    for x, own in readings:
        if x is None and (ignore_na or count == 0):
            continue
        now += 1 if count else 0
        for part in parts:
            part.weight *= 1 - a
        if x is None:
            continue
        parts.append(Part(Decimal(own), Decimal(x), now))
        count += 1
        if not adjust:
            plain = count <= seed_readings
            total = sum(part.weight for part in parts)
            for part in parts:
                part.weight = (ONE / count if plain else part.weight / total) / a
    for part in parts:
        part.time -= now
    return parts


def newer_end(elapsed: Decimal, half_life: Decimal) -> Decimal:
    """The share of a line's newer end in its mean."""
    z = Decimal(2).ln() * elapsed / half_life
    return ONE / (1 - (-z).exp()) - ONE / z


def interval_parts(
    readings: Sequence[tuple[int, float]],
    half_life: float,
    weighting: Weighting,
    *,
    adjust: bool,
    now: int,
) -> list[Part]:
    """Of (time, x) in order; for zero-order hold the last one stands until `now`."""
    h = Decimal(half_life)
    parts = [Part(ZERO, Decimal(x), Decimal(t)) for t, x in readings]
    end = now if weighting is Weighting.INTERVAL_PREV else readings[-1][0]
    if not adjust:
        parts[0].weight = decay(end - readings[0][0], h)
    edges = [t for t, _ in readings] + [end]
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        mass = decay(end - stop, h) - decay(end - start, h)
        if weighting is Weighting.INTERVAL_PREV:
            parts[i].weight += mass
        elif i + 1 < len(parts) and weighting is Weighting.INTERVAL_NEXT:
            parts[i + 1].weight += mass
        elif i + 1 < len(parts) and mass:
            share = newer_end(Decimal(stop - start), h)
            parts[i].weight += mass * (1 - share)
            parts[i + 1].weight += mass * share
    if not any(part.weight for part in parts):
        parts[0].weight = ONE
    return parts


@dataclass(frozen=True)
class Exact:
    """Quantities of weighted parts, at `now`."""

    mean: Decimal
    variance: Decimal
    spread: Decimal
    own: Decimal
    weight: Decimal
    lag: Decimal
    of_time: Decimal
    slope: Decimal

    @staticmethod
    def of(parts: Sequence[Part], now: Decimal | int) -> "Exact":
        weight = sum(part.weight for part in parts)
        shares = [part.weight / weight for part in parts]
        pairs = list(zip(shares, parts, strict=True))
        mean = sum(s * part.x for s, part in pairs)
        middle = sum(s * part.time for s, part in pairs)
        of_time = sum(s * (part.time - middle) ** 2 for s, part in pairs)
        with_time = sum(s * (part.time - middle) * (part.x - mean) for s, part in pairs)
        return Exact(
            mean=mean,
            variance=sum(s * (part.x - mean) ** 2 for s, part in pairs),
            spread=1 - sum(s * s for s in shares),
            own=sum(s * s for s, part in pairs if part.is_reading),
            weight=weight,
            lag=now - middle,
            of_time=of_time,
            slope=with_time / of_time if of_time > Decimal("1e-40") else ZERO,
        )


def exactly() -> localcontext:
    """The context that all of this is to be computed in."""
    return localcontext(Context(prec=DIGITS))
