"""Log lines: objects for programs, sentences for people, and no flood of the same."""

import json
import logging
from collections.abc import Iterator

import pytest

from stream_ewma.events import fields
from stream_ewma.service import logs

log = logging.getLogger("stream_ewma.test")


class Written:
    """What stands on standard error."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured = captured
        self._text = ""

    def getvalue(self) -> str:
        self._text += self._captured.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    written = Written(capsys)
    names = ("stream_ewma", "aiokafka", "asyncio")
    before = {name: vars(logging.getLogger(name)).copy() for name in names}
    yield written
    for name, state in before.items():
        logger = logging.getLogger(name)
        for attribute in ("handlers", "propagate"):
            setattr(logger, attribute, state[attribute])
        logger.setLevel(state["level"])


def lines(written: Written) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_is_an_object_where_nobody_looks(stderr: Written) -> None:
    logs.set_up("INFO", service="pumps")
    log.info("%s: %d keys", "a-0", 5, extra=fields("state_restored", records=5))

    (line,) = lines(stderr)
    assert line.pop("timestamp").endswith("Z")  # type: ignore[attr-defined]
    assert line == {
        "level": "info",
        "event": "state_restored",
        "message": "a-0: 5 keys",
        "logger": "stream_ewma.test",
        "service": "pumps",
        "records": 5,
    }


def test_a_line_without_fields_is_a_message(stderr: Written) -> None:
    logs.set_up("INFO")
    log.warning("slow\nnetwork")

    assert stderr.getvalue().count("\n") == 1
    assert lines(stderr)[0]["event"] == "message"


def test_a_stack_trace_stays_in_its_line(stderr: Written) -> None:
    logs.set_up("INFO")
    log.error("internal error", exc_info=ValueError("odd"))

    (line,) = lines(stderr)
    assert "ValueError: odd" in str(line["exception"])


def test_a_sentence_for_a_terminal(stderr: Written) -> None:
    logs.set_up("INFO", "console")
    log.info("ready", extra=fields("ready"))

    assert stderr.getvalue().endswith("Z INFO ready\n")


def test_what_is_less_serious_is_not_shown(stderr: Written) -> None:
    logs.set_up("WARNING")
    log.info("ready")

    assert stderr.getvalue() == ""


def test_the_client_stays_quiet_at_every_level(stderr: Written) -> None:
    logs.set_up("DEBUG", "console")
    logging.getLogger("aiokafka.conn").debug("sasl plain secret")
    logging.getLogger("aiokafka.conn").info("sasl plain secret")

    assert stderr.getvalue() == ""


def test_what_the_client_tries_again_is_a_warning(stderr: Written) -> None:
    logs.set_up("INFO", "console")
    logging.getLogger("aiokafka.consumer").error("no coordinator yet")
    log.error("parked")

    first, second = stderr.getvalue().splitlines()
    assert first.endswith(" WARNING no coordinator yet")
    assert second.endswith(" ERROR parked")


def test_the_same_line_again_and_again_is_shown_some_times_and_counted(
    stderr: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs.set_up("INFO")
    clock = [1000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    monkeypatch.setattr("time.time_ns", lambda: int(clock[0] * 1e9))
    for attempt in range(40):
        log.warning("%s: no answer (%d)", "a-0", attempt)
    log.warning("%s: no answer (%d)", "a-1", 0)
    clock[0] += 31
    log.warning("%s: no answer (%d)", "a-0", 40)

    messages = [line["message"] for line in lines(stderr)]
    assert messages == [
        *(f"a-0: no answer ({attempt})" for attempt in range(5)),
        "a-1: no answer (0)",
        "a-0: no answer (40) (35 more like it)",
    ]
    assert lines(stderr)[-1]["suppressed"] == 35


def test_errors_are_all_shown_and_the_kinds_of_lines_take_no_memory(stderr: Written) -> None:
    logs.set_up("INFO")
    for _ in range(20):
        log.error("%s is parked", "a-0")
    for number in range(3_000):
        log.warning(f"ready-made {number}")  # noqa: G004

    assert sum(line["message"] == "a-0 is parked" for line in lines(stderr)) == 20
    flood = logging.getLogger("stream_ewma").handlers[0].filters[-1]
    assert len(flood._shown) <= 1_000  # type: ignore[union-attr]
