"""Kafka's request to forget a group's offsets of partitions, which aiokafka does not speak."""

from collections.abc import Mapping, Sequence

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String


class _OffsetDeleteResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        ("throttle_time_ms", Int32),
        (
            "topics",
            Array(
                ("name", String("utf-8")),
                ("partitions", Array(("partition_index", Int32), ("error_code", Int16))),
            ),
        ),
    )


class _OffsetDeleteStruct(RequestStruct):  # type: ignore[misc]  # aiokafka has no types
    API_KEY = 47
    API_VERSION = 0
    RESPONSE_TYPE = _OffsetDeleteResponse
    SCHEMA = Schema(
        ("group_id", String("utf-8")),
        (
            "topics",
            Array(
                ("name", String("utf-8")),
                ("partitions", Array(Int32)),
            ),
        ),
    )


class OffsetDeleteRequest(Request[_OffsetDeleteStruct]):  # type: ignore[misc]  # aiokafka has no types
    """Forget the offsets of partitions, given by topic."""

    API_KEY = 47

    def __init__(self, group: str, partitions: Mapping[str, Sequence[int]]) -> None:
        self._group = group
        self._topics = [(name, list(own)) for name, own in partitions.items()]

    def build(self, request_struct_class: type[_OffsetDeleteStruct]) -> _OffsetDeleteStruct:
        """The request on the wire."""
        return request_struct_class(self._group, self._topics)
