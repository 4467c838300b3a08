"""The command that runs our service on a job: settings in a file, nothing else."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness import job as limits
from harness.job import PARTITIONS, Job
from harness.load import create_topic
from stream_ewma.kafka.topics import Role, topic_configs
from stream_ewma.settings import load_settings

DEAD_LETTER_TOPIC = "dead-letters"

EXACTLY_ONCE: Final = "exactly_once"
AT_LEAST_ONCE: Final = "at_least_once"
IN_MEMORY: Final = "in memory"
"""How state and outputs are kept: as the setting of the same name says, or state not at all."""


def service_command(
    job: Job,
    folder: Path,
    keeping: str = EXACTLY_ONCE,
    *,
    smoothing: Mapping[str, object] | None = None,
    partitions: int = PARTITIONS,
) -> list[str]:
    """Write the settings of `job` into `folder` and return the command; commits as by default."""
    durable = keeping != IN_MEMORY
    settings = {
        "application_id": job.group,
        "kafka": {
            "bootstrap_servers": job.bootstrap,
            "max_partition_fetch_bytes": limits.MAX_PARTITION_FETCH_BYTES,
            "fetch_max_bytes": limits.FETCH_MAX_BYTES,
            "fetch_max_wait_ms": limits.FETCH_MAX_WAIT_MS,
        },
        "input": {"topics": [job.input_topic], "start": "earliest"},
        "smoothing": dict(smoothing or {"alpha": limits.ALPHA}),
        "output": {"topic": job.output_topic, "max_batch_bytes": limits.MAX_BATCH_BYTES},
        "dead_letters": {"topic": DEAD_LETTER_TOPIC},
        "state": {"durable": durable},
        "log": {"format": "console"},
        "delivery": {"guarantee": keeping if durable else AT_LEAST_ONCE},
    }
    file = folder / f"{job.group}.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    if durable:
        loaded = load_settings(file, env={})
        create_topic(
            job.bootstrap,
            loaded.changelog_topic(job.input_topic),
            may_exist=True,
            partitions=partitions,
            **topic_configs(loaded, Role.CHANGELOG),
        )
    program = Path(sys.executable).with_name("stream-ewma")
    return [str(program), "run", "--config", str(file)]
