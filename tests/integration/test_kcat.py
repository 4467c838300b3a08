"""The commands of the README that users of kcat will type."""

import shutil
import subprocess

import pytest

KCAT = shutil.which("kcat")


def kcat(*arguments, text=None):
    if KCAT is None:
        pytest.fail("kcat is not installed; install it with: apt-get install -y kcat")
    done = subprocess.run(
        [KCAT, "-q", *arguments], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_readings_typed_into_kcat_come_out_smoothed_in_kcat(make_job):
    job = make_job()
    broker = ("-b", job.cluster.bootstrap)
    kcat("-P", *broker, "-t", job.topic, "-K:", text='s1:21.5\ns1:22.0\ns2:{"value":7}\n')

    job.start()
    job.outputs(3)
    lines = kcat("-C", *broker, "-t", job.output, "-o", "beginning", "-e", "-f", "%k p%p@%o %s\n")

    times = kcat("-C", *broker, "-t", job.topic, "-o", "beginning", "-e", "-f", "%T\n")
    assert lines == [
        f's1 p0@0 {{"key":"s1","timestamp":{times[0]},"value":21.5,"ewma":21.5,"count":1}}',
        f's1 p0@1 {{"key":"s1","timestamp":{times[1]},"value":22.0,"ewma":21.6,"count":2}}',
        f's2 p0@2 {{"key":"s2","timestamp":{times[2]},"value":7.0,"ewma":7.0,"count":1}}',
    ]


def test_kcat_shows_a_dead_letter_and_why(make_job):
    job = make_job()
    broker = ("-b", job.cluster.bootstrap)
    kcat("-P", *broker, "-t", job.topic, "-K:", text="s1:twelve\n")

    job.start()
    job.dead_letters(1)
    headers, value = kcat("-C", *broker, "-t", job.dead, "-o", "beginning", "-e", "-f", "%h\n%s\n")

    assert "__stream_ewma.errors.reason=decode" in headers
    assert f"__streams.errors.topic={job.topic}" in headers
    assert value == "twelve"
