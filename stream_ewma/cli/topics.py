"""Show or make the topics that the service needs: outputs, dead letters and changelogs.

stream-ewma topics plan --config stream-ewma.yaml
stream-ewma topics create --config stream-ewma.yaml
"""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence

from stream_ewma.cli import settings_flags
from stream_ewma.errors import TopicError
from stream_ewma.kafka.connect import wait_for_broker
from stream_ewma.kafka.topic_state import TopicState
from stream_ewma.kafka.topics import create, describe, grow, topic_configs
from stream_ewma.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and the flags of every setting."""
    parser.usage = "%(prog)s plan|create [FLAGS]"
    parser.add_argument(
        "action", choices=["plan", "create"], help="show what is missing, or make it"
    )
    settings_flags.add_arguments(parser)


def run(arguments: argparse.Namespace, unknown: Sequence[str]) -> int:
    """Plan or create.

    Raises:
        SettingsError: the settings are wrong.
        TopicError: a topic cannot be made, or does not fit and cannot be mended here.
        BrokerUnavailableError: no broker answers.
        AccessDeniedError: the broker refuses.
    """
    settings = settings_flags.load(arguments, unknown)
    return asyncio.run(_run(settings, is_plan=arguments.action == "plan"))


async def _run(settings: Settings, *, is_plan: bool) -> int:
    await wait_for_broker(settings)
    states = await describe(settings)
    missing = [state for state in states if state.can_be_made or state.can_be_grown]
    # What only its owner can mend.
    problems = [s.problem for s in states if s.problem and s not in missing]
    if is_plan:
        sys.stdout.write("".join(f"{state}\n" for state in states))
        sys.stdout.write("".join(f"{kafka_topics_line(settings, s)}\n" for s in missing))
    else:
        for state in await create(settings, states):
            sys.stdout.write(f"{state.name}: created, partitions: {state.wanted}\n")
        for state in await grow(settings, states):
            sys.stdout.write(f"{state.name}: grown, partitions: {state.wanted}\n")
        if not missing and not problems:
            sys.stdout.write("nothing is missing\n")
    if problems:
        raise TopicError("\n".join(problems))
    return 0


def kafka_topics_line(settings: Settings, state: TopicState) -> str:
    """The command of Kafka's own tool that makes the topic, or gives it more partitions."""
    words = [
        *("kafka-topics.sh", "--bootstrap-server", settings.kafka.bootstrap_servers),
        "--create" if state.partitions is None else "--alter",
        *("--topic", state.name, "--partitions", str(state.wanted)),
    ]
    if state.partitions is not None:
        return shlex.join(words)
    if settings.topics.replication_factor != -1:
        words += ["--replication-factor", str(settings.topics.replication_factor)]
    for name, value in topic_configs(settings, state.role).items():
        words += ["--config", f"{name}={value}"]
    return shlex.join(words)
