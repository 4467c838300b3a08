"""Failpoints at the requests that leave a process and the answers that come back.

The steps of a transaction are requests; so one hook below all of aiokafka's producers sees every
step, whatever class of the service takes it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from aiokafka.conn import AIOKafkaConnection

from stream_ewma.kafka.frames import RawConnection

from .failpoints import FailpointError, Failpoints, Site

PRODUCE, INIT_PRODUCER_ID = 0, 22
ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 25, 26, 28

_ANSWERED = {
    INIT_PRODUCER_ID: Site.K8,
    ADD_OFFSETS: Site.K4,
    TXN_OFFSET_COMMIT: Site.K5,
}

Send = Callable[..., Any]


def install(failpoints: Failpoints, *, output: str, changelog: str) -> None:
    """Make every connection of this process pass the failpoints.

    Args:
        failpoints: where to fail.
        output: the topic of `Site.K2`.
        changelog: the topic of `Site.K3`.
    """
    topics = {output: Site.K2, changelog: Site.K3}
    for owner in (RawConnection, AIOKafkaConnection):
        setattr(owner, "send", _hooked(owner.send, owner, failpoints, topics))  # noqa: B010


def _hooked(original: Send, owner: type, failpoints: Failpoints, topics: dict[str, Site]) -> Send:
    def send(self: Any, request: Any, expect_response: bool = True) -> Any:
        if type(self) is not owner or not expect_response:  # the other hook sees this one
            return original(self, request, expect_response)
        if _fences(request):
            failpoints.hit(Site.BEFORE_K8, request._transactional_id)
        answer = original(self, request, expect_response)
        if request.API_KEY == END_TXN:
            try:
                failpoints.hit(Site.K6, request._transactional_id)
            except FailpointError as error:
                return _failed(answer, error)
        sites = [site for site in _sites(request, topics) if failpoints.watches(site)]
        if not sites:
            return answer
        return _answered(answer, failpoints, sites, str(request._transactional_id))

    return send


def _fences(request: Any) -> bool:
    return request.API_KEY == INIT_PRODUCER_ID and request._transactional_id is not None


def _sites(request: Any, topics: dict[str, Site]) -> list[Site]:
    """What sites the answer to a request is: one request may hold outputs and rows."""
    if request.API_KEY == PRODUCE:
        return [topics[name] for name, _ in request._topics if name in topics]
    if request.API_KEY == INIT_PRODUCER_ID and not _fences(request):
        return []
    return [_ANSWERED[request.API_KEY]] if request.API_KEY in _ANSWERED else []


async def _failed(answer: Coroutine[Any, Any, Any], error: FailpointError) -> Any:
    """An error in place of the answer, which comes to nobody."""
    unheard = asyncio.ensure_future(answer)
    unheard.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    raise error


async def _answered(
    answer: Awaitable[Any], failpoints: Failpoints, sites: list[Site], detail: str
) -> Any:
    response = await answer
    for site in sites:
        sleep_s = failpoints.hit(site, detail)
        if sleep_s:
            await asyncio.sleep(sleep_s)
    return response
