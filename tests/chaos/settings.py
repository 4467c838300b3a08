"""The settings file of the processes under test."""

from collections.abc import Mapping
from typing import Any, Literal

from .configurations import MAX_KEY_BYTES, MAX_VALUE_BYTES, Configuration

Guarantee = Literal["exactly_once", "at_least_once"]

SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_MS = 1_000
REQUEST_TIMEOUT_MS = 5_000
TRANSACTION_TIMEOUT_MS = 20_000


def settings_of(
    configuration: Configuration,
    *,
    group: str,
    topic: str,
    bootstrap: str,
    guarantee: Guarantee,
    over: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The settings of a service that smooths `topic`.

    Args:
        configuration: how.
        group: application id.
        topic: input.
        bootstrap: where the brokers are.
        guarantee: what is promised.
        over: sections laid over the others.
    """
    delivery: dict[str, Any] = {"shutdown_timeout": "15s"}
    delivery |= {"guarantee": guarantee, "transaction_timeout": f"{TRANSACTION_TIMEOUT_MS}ms"}
    sections: dict[str, Any] = {
        "application_id": group,
        "worker_threads": 2,
        "kafka": {
            "bootstrap_servers": bootstrap,
            "session_timeout_ms": SESSION_TIMEOUT_MS,
            "heartbeat_interval_ms": HEARTBEAT_MS,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            "fetch_max_wait_ms": 100,
        },
        "input": {
            "topics": [topic],
            "max_value_bytes": MAX_VALUE_BYTES,
            "max_key_bytes": MAX_KEY_BYTES,
            **({"reset": "restart"} if configuration.resets else {}),
        },
        "smoothing": dict(configuration.smoothing),
        "state": {} if configuration.ttl_ms is None else {"ttl": f"{configuration.ttl_ms}ms"},
        "output": {"max_batch_bytes": 100_000},
        "http": {"port": 0},
        "log": {"format": "console"},
        "delivery": delivery,
    }
    for section, values in (over or {}).items():
        sections[section] = {**sections.get(section, {}), **values}
    return sections
