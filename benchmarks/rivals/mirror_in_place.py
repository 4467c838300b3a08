"""The mirror through the service's own connections: what is large stays where it was received."""

import asyncio

from harness.job import job_from_arguments

from rivals.mirror import main
from stream_ewma.kafka.seams import RawConsumer, RawProducer

if __name__ == "__main__":
    asyncio.run(main(job_from_arguments(), RawConsumer, RawProducer))
