"""Errors, sorted by what the caller must do about them."""


class StreamEwmaError(Exception):
    """Base of every error this package raises on purpose; the message is one clear line."""

    exit_code = 70


class SettingsError(StreamEwmaError):
    """The settings are wrong: change them, then start again.

    Attributes:
        problems: one `place: field: what to write` line for each thing that is wrong.
    """

    exit_code = 78

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class BrokerUnavailableError(StreamEwmaError):
    """No broker answered in time: check the address and that the broker is up, then start again."""

    exit_code = 69


class MemberUnavailableError(StreamEwmaError):
    """No running member answered: check that it runs, and its HTTP address, then try again."""

    exit_code = 69


class TopicError(StreamEwmaError):
    """A topic is missing or does not fit: mend the topic, then start again."""

    exit_code = 73


class StateError(StreamEwmaError):
    """The kept state does not fit topic, group or settings: decide what to do, then start again."""

    exit_code = 65


class ServiceRunningError(StreamEwmaError):
    """The service runs where it must not: stop it, then try again."""

    exit_code = 75


class AccessDeniedError(StreamEwmaError):
    """The broker refused the credentials, the certificate or the permission: mend those."""

    exit_code = 77


class DrainError(StreamEwmaError):
    """Stopping took too long: some offsets are not committed and will be read again."""

    exit_code = 75


class FatalError(StreamEwmaError):
    """The service cannot go on without losing or doubling records: it stops, restart it."""

    exit_code = 70


class DataError(StreamEwmaError):
    """Recorded data is not what was said of it: mend the data or the flags that describe it."""

    exit_code = 65


class MissingInputError(StreamEwmaError):
    """A file cannot be read: mend its name or its permissions."""

    exit_code = 66


class OutputError(StreamEwmaError):
    """A file cannot be written: mend its name, its permissions or the room on the disk."""

    exit_code = 73


class MissingExtraError(StreamEwmaError):
    """An optional library is not installed: install it."""

    exit_code = 69
