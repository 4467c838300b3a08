"""The command that runs our service on a job: settings in a file, nothing else."""

import json
import sys
from pathlib import Path

from harness import job as limits
from harness.job import Job

DEAD_LETTER_TOPIC = "dead-letters"


def service_command(job: Job, folder: Path) -> list[str]:
    """Write the settings of `job` into `folder` and return the command."""
    settings = {
        "application_id": job.group,
        "kafka": {
            "bootstrap_servers": job.bootstrap,
            "max_partition_fetch_bytes": limits.MAX_PARTITION_FETCH_BYTES,
            "fetch_max_bytes": limits.FETCH_MAX_BYTES,
            "fetch_max_wait_ms": limits.FETCH_MAX_WAIT_MS,
        },
        "input": {"topics": [job.input_topic], "start": "earliest"},
        "smoothing": {"alpha": limits.ALPHA},
        "output": {"topic": job.output_topic, "max_batch_bytes": limits.MAX_BATCH_BYTES},
        "dead_letters": {"topic": DEAD_LETTER_TOPIC},
        "delivery": {"commit_interval": f"{limits.COMMIT_INTERVAL_S:.0f}s"},
    }
    file = folder / f"{job.group}.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    program = Path(sys.executable).with_name("stream-ewma")
    return [str(program), "run", "--config", str(file)]
