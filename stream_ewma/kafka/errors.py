"""What aiokafka's errors mean for whoever runs the service: one line, and what to do."""

import socket
import ssl

from aiokafka import errors as kafka
from aiokafka.errors import KafkaError

from stream_ewma.errors import (
    AccessDeniedError,
    BrokerUnavailableError,
    FatalError,
    StreamEwmaError,
    TopicError,
)
from stream_ewma.settings import Settings

REFUSALS = (
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTimestampError,
    kafka.CorruptRecordException,
)
"""Answers of the broker that blame the batch itself: sending it again cannot help."""


class FencedError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """A newer producer has the transactional id, or the transaction exceeded its timeout.

    What the open transaction held is not visible, unless its end was being asked for: only the
    changelog, read after a new fence, tells.
    """


class TransactionExpiredError(FencedError):
    """The transaction was open for too long: most likely the brokers have given it up."""


class OutcomeUnknownError(KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """Whether the transaction was committed cannot be told: fence anew and read the changelog."""


_NO_ANSWER = (
    kafka.KafkaConnectionError,
    kafka.KafkaTimeoutError,
    kafka.RequestTimedOutError,
    kafka.NodeNotReadyError,
    OSError,
    TimeoutError,
)

__all__ = [
    "REFUSALS",
    "FencedError",
    "KafkaError",
    "OutcomeUnknownError",
    "TransactionExpiredError",
    "explain",
    "is_passing",
]

_VERIFY_HOST_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_VERIFY_IP_MISMATCH = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH
_VERIFY_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED

_SEE_CHECK = (
    "stream-ewma check --online prints the kafka-acls.sh line of each permission that the service "
    "lacks"
)
_DENIED: dict[type[BaseException], str] = {
    kafka.TopicAuthorizationFailedError: f"allow it to the user; {_SEE_CHECK}",
    kafka.GroupAuthorizationFailedError: "allow the user READ on the consumer group "
    f"(application_id); {_SEE_CHECK}",
    kafka.ClusterAuthorizationFailedError: "allow the user what the broker's log says it lacked",
    kafka.TransactionalIdAuthorizationFailed: "allow the user WRITE on the transactional ids "
    "that begin with application_id",
}


def explain(
    error: BaseException, settings: Settings, address: str | None = None
) -> StreamEwmaError:
    """The error to show for `error`, of the class that says what the caller must do.

    Args:
        error: what aiokafka, or the socket under it, raised.
        settings: for the names to show; no secret is ever shown.
        address: broker that was being talked to; default: the bootstrap servers.
    """
    where = address or settings.kafka.bootstrap_servers
    if isinstance(error, StreamEwmaError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return AccessDeniedError(f"{where}: {_certificate_problem(error, settings)}")
    if isinstance(error, ssl.SSLError):
        return AccessDeniedError(
            f"{where}: no TLS handshake ({error.reason or error}): check kafka.security_protocol "
            "and that the port is the broker's TLS listener"
        )
    for denied, advice in _DENIED.items():
        if isinstance(error, denied):
            return AccessDeniedError(f"{where}: not authorized ({_text(error)}): {advice}")
    if isinstance(
        error,
        kafka.SaslAuthenticationFailed
        | kafka.UnsupportedSaslMechanismError
        | kafka.IllegalSaslStateError,
    ):
        return AccessDeniedError(
            f"{where}: authentication failed for user {settings.kafka.sasl_username!r} "
            f"({_text(error)}): check kafka.sasl_mechanism, sasl_username and sasl_password"
        )
    return _other(error, where)


def is_passing(error: BaseException) -> bool:
    """Whether the brokers may well answer otherwise after a while."""
    if isinstance(error, (BrokerUnavailableError, *_NO_ANSWER)):
        return True
    return isinstance(error, KafkaError) and bool(error.retriable)


def _other(error: BaseException, where: str) -> StreamEwmaError:
    if isinstance(error, kafka.UnknownTopicOrPartitionError | kafka.InvalidTopicError):
        return TopicError(
            f"{where}: {_text(error)}: create the topics with `stream-ewma topics create`"
        )
    if isinstance(error, kafka.OffsetOutOfRangeError):
        return FatalError(
            f"the position is outside of what the topic still holds ({_text(error)}): retention "
            "has overtaken the service, or the topic was created anew; start the service again: "
            "it says what can be done"
        )
    if isinstance(error, socket.gaierror):
        return BrokerUnavailableError(
            f"{where}: the host name cannot be resolved: check kafka.bootstrap_servers"
        )
    if isinstance(error, _NO_ANSWER):
        return BrokerUnavailableError(
            f"{where}: no broker answers ({_text(error)}): check kafka.bootstrap_servers, that "
            "the broker is up, and kafka.security_protocol"
        )
    return FatalError(f"{where}: {type(error).__name__}: {_text(error)}")


def _certificate_problem(error: ssl.SSLCertVerificationError, settings: Settings) -> str:
    if error.verify_code in (_VERIFY_HOST_MISMATCH, _VERIFY_IP_MISMATCH):
        return (
            f"the broker's certificate is for another host ({error.verify_message}): use a name "
            "that the certificate holds in kafka.bootstrap_servers and in the broker's "
            "advertised.listeners"
        )
    if error.verify_code == _VERIFY_EXPIRED:
        return "the broker's certificate has expired: renew it"
    authority = settings.kafka.ssl_cafile or "the system's authorities"
    return (
        f"the broker's certificate is not signed by {authority} ({error.verify_message}): set "
        "kafka.ssl_cafile to the PEM file of the authority that signed it"
    )


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
