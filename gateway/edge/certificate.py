"""Certificates: one of our own where none is given, what it is called, and the TLS context made of it. Blocking."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.edge.keystore import write_private
from gateway.errors import ConfigError

__all__ = ["CertificateFiles", "fingerprint", "own_certificate", "own_chain", "server_context"]

LIFE = timedelta(days=397)
"""What browsers take at most (CA/Browser Forum Baseline Requirements 6.3.2)."""
RENEW = timedelta(days=30)
"""Before its end a new one is made, at a start of the gateway."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    chain: Path
    """PEM, the server's own first."""
    key: Path
    given: bool
    """By the operator; else self-signed."""


def own_chain(state_dir: Path) -> Path:
    """Where the self-signed certificate is."""
    return state_dir / "tls" / "self-signed.pem"


def own_certificate(
    state_dir: Path, names: Iterable[str], also: Iterable[str] = (), *, now: datetime | None = None
) -> CertificateFiles:
    """The gateway's self-signed certificate; made anew when its end is near, or it lacks a name.

    Args:
        names: addresses and host names that it is to be good for.
        also: those that a new one has besides. A host's addresses come and go; people have pinned the certificate.

    Raises:
        ConfigError: it cannot be kept.
    """
    now = datetime.now(UTC) if now is None else now
    wanted = {str(name) for name in names}
    chain = own_chain(state_dir)
    folder = chain.parent
    files = CertificateFiles(chain, folder / "self-signed-key.pem", given=False)
    if not _good(files, wanted, now):
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = _sign(key, wanted | {str(name) for name in also}, now).public_bytes(serialization.Encoding.PEM)
        try:
            # Each by itself: parents are made for everybody to read.
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            write_private(files.key, private)
            write_private(files.chain, public)
        except OSError as exc:
            raise ConfigError(f"cannot keep a certificate in {folder}: {exc.strerror}") from exc
    return files


def _sign(key: ec.EllipticCurvePrivateKey, names: set[str], now: datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fenster, self-signed")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in sorted(names)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _good(files: CertificateFiles, names: set[str], now: datetime) -> bool:
    try:
        known = x509.load_pem_x509_certificate(files.chain.read_bytes())
        server_context(files)
        named = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, ConfigError, x509.ExtensionNotFound):
        return False
    has = {str(name.value) for name in named}
    return names <= has and known.not_valid_after_utc - now > RENEW


def server_context(files: CertificateFiles) -> ssl.SSLContext:
    """TLS 1.2 or newer, HTTP/1.1. Raises ConfigError, which names the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without a password callback, OpenSSL would ask at the terminal for that of an encrypted key.
        context.load_cert_chain(files.chain, files.key, password=lambda: "")
    except ssl.SSLError as exc:
        raise ConfigError(
            f"{files.chain} and {files.key} are no certificate and its key: {exc.reason or exc}",
            hint="set tls_cert and tls_key to PEM files that belong together; the key without a password",
        ) from exc
    except OSError as exc:
        raise ConfigError(
            f"cannot read {files.chain} or {files.key}: {exc.strerror}", hint="set tls_cert and tls_key"
        ) from exc
    return context


def fingerprint(chain: Path) -> bytes:
    """SHA-256 of the server's own certificate. Raises ConfigError."""
    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{chain} is no certificate") from exc
    return hashlib.sha256(leaf.public_bytes(serialization.Encoding.DER)).digest()
