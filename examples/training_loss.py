"""A live training loss, smoothed as TensorBoard's slider does.

    python examples/training_loss.py                                       # a simulated loss
    python examples/training_loss.py --bootstrap localhost:9092 --topic training-loss-ewma

TensorBoard multiplies a running sum by the weight and divides it by what the weights add up to
("debiasing"), so that the first steps are not drawn towards 0. That is `adjust=True`:

    s = weight s + (1 - weight) x,    s / (1 - weight^n)   =   Ewma(alpha=1 - weight, adjust=True)

Both are printed side by side, step by step, and must agree. From a topic, each record is a JSON
object with the loss as `value`: what a training job writes, or what stream-ewma publishes for it.
"""

import argparse
import asyncio
import json
import math
from collections.abc import AsyncIterator

import numpy as np
from aiokafka import AIOKafkaConsumer

from stream_ewma import Ewma

SAME = 1e-12


class TensorBoard:
    """The smoothing of TensorBoard's line charts."""

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.sum, self.steps = 0.0, 0

    def update(self, x: float) -> float:
        self.sum = self.sum * self.weight + (1 - self.weight) * x
        self.steps += 1
        return self.sum / (1 - self.weight**self.steps)


async def simulated(steps: int) -> AsyncIterator[float]:
    """A loss that falls, noisily."""
    generator = np.random.default_rng(1)
    for step in range(steps):
        yield 0.2 + 2.0 * math.exp(-step / 60) + generator.normal(scale=0.15)


async def from_topic(bootstrap: str, topic: str, steps: int) -> AsyncIterator[float]:
    """The values of a topic's records, from its beginning; waits for more of them."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        for _ in range(steps):
            record = await consumer.getone()
            yield float(json.loads(record.value)["value"])
    finally:
        await consumer.stop()


async def smooth(losses: AsyncIterator[float], weight: float) -> None:
    ours, theirs = Ewma(alpha=1 - weight, adjust=True), TensorBoard(weight)
    print(f"{'step':>5} {'loss':>9} {'smoothed':>9} {'TensorBoard':>11} {'+-':>8}")
    step = 0
    async for loss in losses:
        smoothed, expected = ours.update(loss), theirs.update(loss)
        assert math.isclose(smoothed, expected, rel_tol=SAME), (step, smoothed, expected)
        step += 1
        if step & (step - 1) == 0:
            print(f"{step:5} {loss:9.4f} {smoothed:9.4f} {expected:11.4f} {ours.std:8.4f}")
    print(f"{step} steps, equal to TensorBoard's in all of them; slope {ours.slope:.5f} a step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bootstrap", help="a broker; without one the loss is simulated")
    parser.add_argument("--topic", default="training-loss-ewma")
    parser.add_argument("--steps", type=int, default=256, help="end after so many")
    parser.add_argument("--weight", type=float, default=0.9, help="TensorBoard's slider")
    arguments = parser.parse_args()
    if arguments.bootstrap:
        losses = from_topic(arguments.bootstrap, arguments.topic, arguments.steps)
    else:
        losses = simulated(arguments.steps)
    asyncio.run(smooth(losses, arguments.weight))


if __name__ == "__main__":
    main()
