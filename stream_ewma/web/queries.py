"""What a request asks for, read from its path and query."""

from base64 import b64decode
from binascii import Error as Base64Error
from urllib.parse import unquote_to_bytes

from aiohttp import web

from stream_ewma.engine.stored import key_bytes

KEYS_PATH = "/v1/keys/"


def number_of(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query.

    Raises:
        HTTPBadRequest: it is none, or out of bounds.
    """
    text = request.query.get(name, str(default))
    number = whole(text)
    if number is None or not least <= number <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from {least} to {most}")
    return number


def whole(text: str) -> int | None:
    """A number of up to 18 digits; None: it is none."""
    # Python itself refuses to read thousands of digits.
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


def is_base64(request: web.Request) -> bool:
    """Whether keys are written as base64, in the question and in the answer.

    Raises:
        HTTPBadRequest: they are written in no known way.
    """
    encoding = request.query.get("encoding", "text")
    if encoding not in {"text", "base64"}:
        raise web.HTTPBadRequest(text="encoding is text or base64")
    return encoding == "base64"


def key_of_path(request: web.Request) -> bytes:
    """The key that a path ends in.

    Raises:
        HTTPBadRequest: it is no base64 where that was announced.
    """
    # From the path as it came: bytes that are no UTF-8 would be lost on the way through a URL.
    raw = request.raw_path.partition("?")[0].removeprefix(KEYS_PATH)
    return key_written(request, unquote_to_bytes(raw).decode("utf-8", "surrogateescape"))


def key_written(request: web.Request, text: str) -> bytes:
    """The key that is meant by `text`.

    Raises:
        HTTPBadRequest: it is no base64 where that was announced.
    """
    if not is_base64(request):
        return key_bytes(text)
    try:
        return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        raise web.HTTPBadRequest(text="the key is no base64 of the URL-safe kind") from None
