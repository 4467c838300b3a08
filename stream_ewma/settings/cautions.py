"""What works, and should not be left as it is."""

from stream_ewma.settings.checks import is_loopback
from stream_ewma.settings.models import Settings


def cautions(settings: Settings) -> list[str]:
    """A line for each, with what to write instead; the service runs all the same."""
    kafka = settings.kafka
    if (kafka.security_protocol, kafka.sasl_mechanism) != ("SASL_PLAINTEXT", "PLAIN"):
        return []
    servers = [server.strip() for server in kafka.bootstrap_servers.split(",")]
    distant = [each for each in servers if not is_loopback(each.rpartition(":")[0].strip("[]"))]
    if not distant:
        return []
    line = (
        "kafka.security_protocol: SASL_PLAINTEXT with sasl_mechanism PLAIN sends the password to"
        f" {', '.join(distant)} in clear text; write SASL_SSL, or SCRAM-SHA-512 as the mechanism"
    )
    return [line]
