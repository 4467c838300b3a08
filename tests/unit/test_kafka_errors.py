"""What the brokers' refusals are told as: one line, and what to do."""

import pytest
from aiokafka import errors as kafka

from stream_ewma.errors import AccessDeniedError, BrokerUnavailableError
from stream_ewma.kafka.errors import explain
from stream_ewma.kafka.group import ask_again
from tests.support.given import load

SETTINGS = load({"kafka.startup_timeout": "1ms", "kafka.bootstrap_servers": "k:1"})


@pytest.mark.parametrize(
    "error", [kafka.TopicAuthorizationFailedError, kafka.GroupAuthorizationFailedError]
)
def test_a_permission_that_is_missing_leads_to_the_command_that_names_it(error: type[Exception]):
    explained = explain(error("readings"), SETTINGS)

    assert isinstance(explained, AccessDeniedError)
    assert str(explained).startswith("k:1: not authorized (")
    assert "stream-ewma check --online prints the kafka-acls.sh line of each" in str(explained)


async def test_a_question_without_an_answer_says_why_in_words():
    async def ask() -> None:
        raise kafka.GroupCoordinatorNotAvailableError

    with pytest.raises(BrokerUnavailableError) as refused:
        await ask_again(SETTINGS, ask, "the group")

    line = str(refused.value)
    assert line.startswith("no answer about the group: k:1: GroupCoordinatorNotAvailableError: ")
    assert not line.endswith("()")
