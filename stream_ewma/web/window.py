"""What the handlers of requests look through: the running member, once there is one."""

from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry

from stream_ewma.service.metrics import registry_of
from stream_ewma.service.overview import Overview
from stream_ewma.settings import Settings
from stream_ewma.web.pace import Turns


@dataclass(slots=True)
class Window:
    """The member behind the server.

    Attributes:
        settings: as given.
        overview: of the member; None: it is still starting.
        registry: of its metrics; None: it is still starting.
        url: where requests are answered, as `http://127.0.0.1:9464`; None: nowhere.
        address: host:port under which other members reach this one; None: they cannot.
        exposed: the metrics as they were written last, and when, by kind.
        turns: of answers that cost something.
    """

    settings: Settings
    overview: Overview | None = None
    registry: CollectorRegistry | None = None
    url: str | None = None
    address: str | None = None
    exposed: dict[str, tuple[float, bytes]] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)

    def show(self, overview: Overview) -> None:
        """The member has started."""
        if self.address is not None:
            overview.advertise(self.address)
        self.overview, self.registry = overview, registry_of(overview)

    def running(self) -> Overview:
        """The member.

        Raises:
            HTTPServiceUnavailable: it is still starting.
        """
        if self.overview is None:
            raise web.HTTPServiceUnavailable(text="starting", headers={"Retry-After": "1"})
        return self.overview


WINDOW = web.AppKey("window", Window)


def window_of(request: web.Request) -> Window:
    """The window that a request looks through."""
    return request.app[WINDOW]
