"""`stream-ewma check --online` without a broker: how ticks look, and what makes them."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from stream_ewma.cli import check, check_online, main
from stream_ewma.cli.check_online import summary, tick_line
from stream_ewma.kafka.permissions import Operation, topic_ticks
from stream_ewma.kafka.reaching import _NEEDED, certificate_tick, version_ticks
from stream_ewma.kafka.ticks import Sign, Tick, good, problem, unknown, warning
from stream_ewma.kafka.topic_ids import Sight, told
from stream_ewma.settings import load_settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "stream-ewma.yaml"
    made.write_text(
        "kafka: {bootstrap_servers: '127.0.0.1:1', startup_timeout: 1s}\n"
        "input: {topics: [a]}\nsmoothing: {alpha: 0.1}\n"
    )
    monkeypatch.chdir(tmp_path)
    return made


def test_ticks_are_coloured_on_a_terminal_and_plain_elsewhere() -> None:
    assert tick_line(good("a"), plain=False, coloured=False) == "✓ a\n"
    assert tick_line(problem("a"), plain=False, coloured=True) == "\x1b[31m✗\x1b[0m a\n"
    assert tick_line(warning("ü"), plain=True, coloured=False) == "warning ?\n"
    assert tick_line(unknown("a"), plain=True, coloured=False) == "? a\n"
    assert "\x1b" not in tick_line(problem("a\x1b[2J"), plain=False, coloured=False)


def test_the_end_counts_what_is_wrong() -> None:
    assert summary(Counter({Sign.GOOD: 3, Sign.UNKNOWN: 1})) == "all is well\n"
    counts = Counter({Sign.PROBLEM: 2, Sign.WARNING: 1})
    assert summary(counts) == "2 problems, 1 warning\n"


@pytest.mark.parametrize(
    ("days", "sign"), [(0, Sign.WARNING), (13, Sign.WARNING), (14, Sign.GOOD), (365, Sign.GOOD)]
)
def test_a_certificate_is_renewed_in_time(days: int, sign: Sign) -> None:
    tick = certificate_tick("k:1", days)

    assert tick.sign is sign
    assert f"good for {days} days" in tick.what
    assert ("renew" in tick.what) == (sign is Sign.WARNING)


def everything(**changed: tuple[int, int]) -> dict[int, tuple[int, int]]:
    found = {request.API_KEY: (0, 20) for request in _NEEDED}
    names = {request.__name__.removesuffix("Request"): request.API_KEY for request in _NEEDED}
    return found | {names[name]: versions for name, versions in changed.items()}


def test_a_broker_that_knows_everything_is_good() -> None:
    (tick,) = version_ticks("k:1", everything())

    assert tick.sign is Sign.GOOD


@pytest.mark.parametrize(
    "versions",
    [
        {"Fetch": (0, 3)},  # no message format 2
        {"Produce": (0, 2)},
        {"Fetch": (30, 40)},  # newer than aiokafka
        {"EndTxn": (1, 0)},
    ],
)
def test_a_broker_that_lacks_a_version_is_named_with_it(versions: dict[str, tuple[int, int]]):
    (tick,) = version_ticks("k:1", everything(**versions))

    assert tick.sign is Sign.PROBLEM
    assert f"does not know {next(iter(versions))} in a version" in tick.what


def test_a_broker_without_topic_ids_is_a_warning() -> None:
    _, tick = version_ticks("k:1", everything(Metadata=(0, 9)))

    assert tick.sign is Sign.WARNING


def test_what_is_not_allowed_is_named_with_the_command(file: Path) -> None:
    settings = load_settings(file, overrides={})
    write = 1 << Operation.WRITE
    seen = {
        "a": Sight(1 << Operation.READ, 1),
        "a-ewma": Sight(None, 0),
        "stream-ewma-a-changelog": Sight(write, 0),
    }

    ticks = topic_ticks(settings, seen)

    assert [tick.sign for tick in ticks] == [
        Sign.GOOD,
        Sign.PROBLEM,
        Sign.UNKNOWN,
        Sign.PROBLEM,
    ]
    assert "1 of its partitions have no leader" in ticks[1].what
    assert ticks[3].what == (
        "stream-ewma-a-changelog: Read and DescribeConfigs not allowed; run: kafka-acls.sh --add"
        " --allow-principal User:NAME --operation Read --operation DescribeConfigs"
        " --topic stream-ewma-a-changelog"
    )
    assert (told(-(2**31)), told(8)) == (None, 8)


def test_without_a_broker_the_ticks_so_far_are_shown(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["check", str(file), "--online"])

    printed = capsys.readouterr()
    assert (code, printed.err) == (69, "")
    *_, tick, end = printed.out.splitlines()
    assert tick.split(" ", 1)[1].startswith("127.0.0.1:1: no broker answers")
    assert end == "no broker lets this client in: nothing more can be looked at"


def test_wrong_settings_are_told_before_a_broker_is_asked(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(file), "--online", "--smoothing.alpha", "7"]) == 78
    assert capsys.readouterr().out == ""
    assert check.FLAGS == ("online", "deny-warnings")


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--deny-warnings"], 1)])
def test_warnings_are_findings_where_they_are_denied(
    file: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], code: int
) -> None:
    async def bootstrap(_settings: object) -> AsyncIterator[tuple[Tick, bool]]:
        yield certificate_tick("k:1", 3), True

    async def cluster(_settings: object) -> AsyncIterator[Tick]:
        yield unknown("this")

    monkeypatch.setattr(check_online, "bootstrap_ticks", bootstrap)
    monkeypatch.setattr(check_online, "cluster_ticks", cluster)

    assert main(["check", str(file), "--online", *flags]) == code


def test_what_the_settings_are_warned_of_counts_with_what_the_brokers_are(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def bootstrap(_settings: object) -> AsyncIterator[tuple[Tick, bool]]:
        yield good("this"), True

    async def cluster(_settings: object) -> AsyncIterator[Tick]:
        yield good("that")

    monkeypatch.setattr(check_online, "bootstrap_ticks", bootstrap)
    monkeypatch.setattr(check_online, "cluster_ticks", cluster)
    monkeypatch.setenv("STREAM_EWMA_KAFKA__SASL_PASSWORD", "hunter2")
    flags = ["--kafka.security_protocol", "SASL_PLAINTEXT", "--kafka.sasl_mechanism", "PLAIN"]
    flags += ["--kafka.sasl_username", "u", "--kafka.bootstrap_servers", "k1:9092"]

    assert main(["check", str(file), "--online", *flags]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("warning: ") for line in printed) == 1
    assert printed[-1] == "1 warning"
    assert main(["check", str(file), "--online", "--deny-warnings", *flags]) == 1
