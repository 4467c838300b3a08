"""A certificate authority of the tests' own, and what the broker's TLS listener needs of it."""

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


@dataclass(frozen=True)
class Certificates:
    """PEM files: the broker's key and certificate for `localhost`, and two authorities."""

    server: Path
    authority: Path
    stranger: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority, a server certificate for `localhost` alone, and an unrelated authority.

    The certificate does not name 127.0.0.1, so a client that connects to the address instead of
    the name meets a wrong host name.
    """
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    made = Certificates(folder / "server.pem", folder / "ca.pem", folder / "stranger.pem")
    # Kafka reads keys in PKCS #8 only.
    key = load_pem_private_key(server.private_key_pem.bytes(), password=None)
    made.server.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(each.bytes() for each in server.cert_chain_pems)
    )
    authority.cert_pem.write_to_path(str(made.authority))
    trustme.CA().cert_pem.write_to_path(str(made.stranger))
    return made
