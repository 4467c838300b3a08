"""What the commands that look at a running member share: where it is, and text fit to show."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from stream_ewma.cli import settings_flags
from stream_ewma.cli.recorded import refuse_misspelt
from stream_ewma.errors import SettingsError
from stream_ewma.settings import Settings
from stream_ewma.web.client import Member

_SHOWN_SETTINGS: Final = {"http.host", "http.port"}
# Only `http` is looked at: a member can be watched from where its other settings are not.
_REPLACED: Final[Mapping[str, dict[str, object]]] = {
    "input": {"topics": ["watched"]},
    "smoothing": {"alpha": 0.5},
    **{name: {} for name in ("state", "output", "dead_letters", "log")},
}
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  to be replaced


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the member is."""
    parser.add_argument(
        "--address",
        type=_url,
        metavar="HOST:PORT",
        help="where the member answers HTTP, as its log names it; default: http.host, http.port",
    )
    settings_flags.add_arguments(parser, _SHOWN_SETTINGS)
    parser.epilog = "A token is taken from http.token: the settings file, or the variable."


def _url(text: str) -> str:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        is_good = bool(parts.hostname and parts.scheme in ("http", "https"))
        is_good = is_good and bool(parts.port or parts.scheme == "https")
    except ValueError:
        is_good = False
    if not is_good or parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise argparse.ArgumentTypeError(f"'{text}': write HOST:PORT, as 127.0.0.1:9464")
    return f"{parts.scheme}://{parts.netloc}"


def member_of(arguments: argparse.Namespace, unknown: Sequence[str], own: Sequence[str]) -> Member:
    """The member that is meant; nobody has asked it yet.

    Raises:
        SettingsError: the settings are wrong, or name no address.
    """
    refuse_misspelt(unknown, own)
    settings = settings_flags.load(arguments, unknown, recorded=True, replaced=_REPLACED)
    token = settings.http.token
    url = arguments.address or _configured(settings)
    return Member(url, None if token is None else token.get_secret_value())


def _configured(settings: Settings) -> str:
    http = settings.http
    if not http.enabled:
        raise SettingsError(["http.enabled: is false, so no member can be asked; write true"])
    if http.port == 0:
        raise SettingsError(
            ["http.port: is 0, any free port; write --address HOST:PORT as the member's log names"]
        )
    host = _ANY_ADDRESS.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"


def visible(text: str, *, ascii_only: bool = False) -> str:
    r"""Text in which the bytes of what is not printable are `\xNN`, as `--key` takes them."""
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return "".join(
        each
        if each.isprintable() and (each.isascii() or not ascii_only)
        else "".join(f"\\x{byte:02x}" for byte in each.encode("utf-8", "surrogatepass"))
        for each in text
    )
