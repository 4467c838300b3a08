"""Log lines on standard error, one event a line."""

import logging
import sys
import time


def set_up(level: str) -> None:
    """Send this package's log to standard error.

    aiokafka's own loggers stay at warnings and above, whatever `level` is: at DEBUG it prints
    records and the bytes of a SASL PLAIN login, password included.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s")
    formatter.datefmt = "%Y-%m-%dT%H:%M:%S"
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger("stream_ewma")
    root.handlers = [handler]
    root.setLevel(level)
    root.propagate = False
    quiet_aiokafka(handler)


def quiet_aiokafka(handler: logging.Handler | None = None) -> None:
    """Clamp aiokafka's loggers; with `handler`, send what is left there."""
    client = logging.getLogger("aiokafka")
    client.setLevel(logging.WARNING)
    if handler is not None:
        client.handlers = [handler]
        client.propagate = False
