"""The example that reads a topic, on what the service has published."""

import subprocess
import sys
from pathlib import Path

from tests.support.job import reading

ROOT = Path(__file__).parents[2]


def test_a_training_loss_is_smoothed_from_the_services_output(make_job):
    job = make_job()
    losses = [2.0 * 0.97**step + 0.1 * (step % 3) for step in range(120)]
    job.produce([reading("run-1", loss, step) for step, loss in enumerate(losses)])
    job.start()
    job.outputs(len(losses))

    done = subprocess.run(
        [sys.executable, "examples/training_loss.py", "--bootstrap", job.cluster.bootstrap,
         "--topic", job.output, "--steps", str(len(losses))],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    assert "120 steps, equal to TensorBoard's in all of them" in done.stdout
    assert f"{losses[63]:9.4f}" in done.stdout
