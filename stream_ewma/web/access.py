"""Who may ask: the token, the cookie that stands for it, and names that browsers were sent to."""

import hmac
import re
import secrets
from hashlib import sha256
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs

from aiohttp import web

from stream_ewma.settings.sections import HttpSettings
from stream_ewma.web.answers import SAFE_HEADERS, error_response

OPEN: Final = frozenset({"/livez", "/healthz", "/readyz", "/metrics", "/version"})
"""For machines, which have neither tokens nor names of their own."""


class Access:
    """Decides over requests.

    Args:
        http: token, and names under which the member is known.
    """

    def __init__(self, http: HttpSettings) -> None:
        self._token = None if http.token is None else http.token.get_secret_value().encode()
        own = [http.host, *http.hosts, "localhost"]
        if http.advertised is not None:
            own.append(_host(http.advertised))
        self._names = {name.lower().rstrip(".") for name in own}
        # Cookies do not know of ports: two members on one machine must not take the other's.
        self._cookie = f"stream_ewma_{http.port}"
        # Leads back to no token, and ends with the process.
        secret = secrets.token_bytes(32)
        self._session = hmac.new(secret, self._token or b"", sha256).hexdigest()

    @property
    def authorization(self) -> dict[str, str]:
        """What another member of the group asks to see."""
        return {} if self._token is None else {"Authorization": f"Bearer {self._token.decode()}"}

    def decide(self, request: web.BaseRequest, path: str) -> web.Response | None:
        """None: it may ask; else what it is answered.

        Args:
            request: any.
            path: as it came.
        """
        if path in OPEN or self._has_token(request):
            return None
        # A page of a foreign name, which leads here since yesterday, would read as this one's own.
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return error_response(403, "not a name of this member: http.hosts takes further ones")
        if self._token is None or _same(request.cookies.get(self._cookie, ""), self._session):
            return None
        given = parse_qs(request.raw_path.partition("?")[2]).get("token", []) if path == "/" else []
        if given and _same(given[0], self._token.decode()):
            return self._enter()
        return error_response(
            401,
            "a token is needed: open /?token=... once, or send Authorization: Bearer ...",
            **{"WWW-Authenticate": "Bearer"},
        )

    def _has_token(self, request: web.BaseRequest) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return (
            self._token is not None
            and kind.lower() == "bearer"
            and _same(given.strip(), self._token.decode())
        )

    def _is_own(self, host: str) -> bool:
        name = _host(host).lower().rstrip(".")
        try:
            ip_address(name)
        except ValueError:
            return name in self._names
        return True  # no name, no other address behind it tomorrow

    def _enter(self) -> web.Response:
        """On to the page, without the token in the address."""
        response = web.Response(status=303, headers={**SAFE_HEADERS, "Location": "/"})
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        return response


def _host(address: str) -> str:
    """The host of host:port, [host]:port or a host alone."""
    bracketed = re.fullmatch(r"\[([^]]*)\](:[0-9]*)?", address)
    if bracketed is not None:
        return bracketed[1]
    return address.rpartition(":")[0] if address.count(":") == 1 else address


def _same(one: str, other: str) -> bool:
    """Whether they are equal, in a time that does not tell how far they are."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape")
    )
