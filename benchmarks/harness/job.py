"""The one job that every contestant does, and the client settings that all of them share.

Equal settings are what makes the figures comparable: same fetch sizes, same size of output batch,
acks=all with an idempotent producer, no compression, a commit each second after a flush.
"""

import argparse
from dataclasses import dataclass
from typing import Final

ALPHA: Final = 0.2
PARTITIONS: Final = 4
COMMIT_INTERVAL_S: Final = 1.0
MAX_BATCH_BYTES: Final = 900_000
MAX_PARTITION_FETCH_BYTES: Final = 4 * 1024 * 1024
FETCH_MAX_BYTES: Final = 50 * 1024 * 1024
FETCH_MAX_WAIT_MS: Final = 500
READY: Final = "ready"
"""A rival prints this line once it has joined the group; our service's log says the same word."""


@dataclass(frozen=True, slots=True)
class Job:
    """Where to read, where to write, in which consumer group."""

    bootstrap: str
    input_topic: str
    output_topic: str
    group: str

    def arguments(self) -> list[str]:
        """The command line of a rival; the inverse of `job_from_arguments`."""
        return [self.bootstrap, self.input_topic, self.output_topic, self.group]


def job_from_arguments() -> Job:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "input_topic", "output_topic", "group"):
        parser.add_argument(name)
    return Job(**vars(parser.parse_args()))
