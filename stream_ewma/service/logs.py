"""Log lines on standard error: a sentence for people, or an object a line for programs."""

import logging
import sys
import time
from typing import Any, Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

_FLOOD: Final = 5
"""Lines of one kind in a row that are shown within `_FLOOD_S`."""
_FLOOD_S: Final = 30.0
_MOST_KINDS: Final = 1_000
_KIND_CHARACTERS: Final = 100


def set_up(
    level: str,
    form: Literal["auto", "console", "json"] = "auto",
    **context: str,
) -> None:
    """Send this package's log to standard error.

    aiokafka's own loggers stay at warnings and above, whatever `level` is: at DEBUG it prints
    records and the bytes of a SASL PLAIN login, password included.

    Args:
        level: least serious message that is shown.
        form: of a line; `auto`: a sentence on a terminal, else JSON.
        context: fields of every JSON line.
    """
    handler = logging.StreamHandler(sys.stderr)
    is_console = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(_console() if is_console else _json(context))
    handler.addFilter(_as_warning)
    handler.addFilter(Flood())
    root = logging.getLogger("stream_ewma")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False
    # Below, it would log requests, those with passwords among them.
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    for name in ("aiokafka", "asyncio"):
        other = logging.getLogger(name)
        other.handlers, other.propagate = [handler], False


def _as_warning(record: logging.LogRecord) -> bool:
    """What aiokafka calls an error it tries again; what it cannot mend it raises, and we report."""
    if record.levelno == logging.ERROR and record.name.startswith("aiokafka."):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


class Flood(logging.Filter):
    """Lets a few lines of a kind through at a time; the next one says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[tuple[str, str], list[float]] = {}
        self._left_out: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record."""
        if record.levelno >= logging.ERROR:
            return True
        kind = self._kind(record)
        recent = [at for at in self._shown.get(kind, ()) if at > record.created - _FLOOD_S]
        self._shown[kind] = recent
        if len(recent) >= _FLOOD:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return False
        recent.append(record.created)
        left_out = self._left_out.pop(kind, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it)", ()
            record.suppressed = left_out
        return True

    def _kind(self, record: logging.LogRecord) -> tuple[str, str]:
        """Lines of one kind say the same of the same thing, which stands first in most of them."""
        about = str(record.args[0]) if isinstance(record.args, tuple) and record.args else ""
        if len(self._shown) >= _MOST_KINDS:  # ready-made text has no end of kinds
            self._shown.clear()
            self._left_out.clear()
        return record.name, f"{str(record.msg)[:_KIND_CHARACTERS]} {about[:_KIND_CHARACTERS]}"


def _console() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s")
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    formatter.converter = time.gmtime
    return formatter


def _json(context: dict[str, str]) -> logging.Formatter:
    def shape(_logger: WrappedLogger, _name: str, line: EventDict) -> EventDict:
        record: logging.LogRecord = line["_record"]
        fields: dict[str, Any] = dict(getattr(record, "fields", {}))
        message = line.pop("event")
        rest = {name: text for name, text in line.items() if not name.startswith("_")}
        suppressed = getattr(record, "suppressed", 0)
        return {
            "timestamp": rest.pop("timestamp"),
            "level": rest.pop("level"),
            "event": fields.pop("event", "message"),
            "message": message,
            "logger": record.name,
            **context,
            **fields,
            **rest,
            **({"suppressed": suppressed} if suppressed else {}),
        }

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
        processors=[
            shape,
            structlog.processors.JSONRenderer(
                serializer=lambda line, **_options: orjson.dumps(line, default=str).decode()
            ),
        ],
    )
