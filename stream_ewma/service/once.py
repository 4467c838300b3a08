"""Working up to the end: what stands in the input when a member begins, and no more."""

import asyncio
from typing import Final

from stream_ewma.errors import DataError
from stream_ewma.kafka.partition import Partition
from stream_ewma.service.overview import Overview, Phase

_LOOK_S: Final = 0.1


async def caught_up(overview: Overview) -> None:
    """Wait until all is processed that stood in the member's partitions when they were given to it.

    What other members have is theirs to finish; a member without partitions has nothing to do.

    Raises:
        DataError: a partition is parked, so that its end is not reached.
        KafkaError: the brokers refuse to say where partitions end.
    """
    ends: dict[Partition, int] = {}
    while True:
        statuses = overview.status()
        new = {status.partition for status in statuses} - ends.keys()
        if new:
            bounds = await overview.consumer.bounds(new)
            ends |= {partition: end for partition, (_, end) in bounds.items()}
        for status in statuses:
            if status.phase is Phase.PARKED:
                raise DataError(
                    f"{status.partition} is parked at offset {status.position}: what stands there "
                    "cannot be read; look at it, then pass it with `stream-ewma offsets skip`"
                )
        if overview.has_joined and all(
            status.phase is Phase.RUNNING
            and status.position is not None
            and status.position >= ends.get(status.partition, 0)
            for status in statuses
        ):
            return
        await asyncio.sleep(_LOOK_S)
