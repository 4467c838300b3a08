"""When a group has counted a member in last, by the answers of its coordinator."""

import math
from types import SimpleNamespace

import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import (
    IllegalGenerationError,
    NoError,
    NotCoordinatorForGroupError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from stream_ewma.kafka.seams import HeardCoordinator

LONG_AGO = 1.0
HEARTBEAT = HeartbeatRequest("group", 1, "member")
SYNC = SyncGroupRequest("group", 1, "member", "", [])
COMMIT = OffsetCommitRequest("group", 1, "member", -1, [])


@pytest.mark.parametrize(
    ("request_", "error", "is_heard"),
    [
        (HEARTBEAT, NoError, True),
        (HEARTBEAT, RebalanceInProgressError, True),
        (SYNC, NoError, True),
        (SYNC, RebalanceInProgressError, None),
        (HEARTBEAT, NotCoordinatorForGroupError, None),
        (HEARTBEAT, UnknownMemberIdError, False),
        (SYNC, IllegalGenerationError, False),
        (COMMIT, NoError, None),
    ],
)
async def test_only_what_members_are_told_counts(monkeypatch, request_, error, is_heard):
    async def send(_self: object, _request: object) -> SimpleNamespace:
        return SimpleNamespace(error_code=error.errno)

    monkeypatch.setattr(GroupCoordinator, "_send_req", send)
    coordinator = HeardCoordinator.__new__(HeardCoordinator)
    coordinator.heard_at = LONG_AGO

    await coordinator._send_req(request_)

    if is_heard is None:
        assert coordinator.heard_at == LONG_AGO
    else:
        assert (coordinator.heard_at > LONG_AGO) == is_heard
        assert (coordinator.heard_at == -math.inf) != is_heard
