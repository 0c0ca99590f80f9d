"""Certificate and key of the server, tried before anything is served."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ml_release.errors import InputError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def check_tls(certificate: Path, key: Path, *, now: datetime) -> None:
    """Make sure that a chain of certificates and a key can be served with.

    Parameters
    ----------
    certificate, key
        PEM files; the key without a password, because nobody is there to type it.

    Raises
    ------
    InputError
        If one cannot be read, they do not belong together, or the certificate is not valid now.
    """
    from cryptography import x509

    for variable, path in (("ML_RELEASE_TLS_CERT", certificate), ("ML_RELEASE_TLS_KEY", key)):
        try:
            path.read_bytes()
        except OSError as error:
            message = f"{variable}: expected a readable file, found {path} ({error.strerror})"
            raise InputError(message) from error
    try:
        leaf, *_ = x509.load_pem_x509_certificates(certificate.read_bytes())
    except ValueError as error:
        message = (
            f"ML_RELEASE_TLS_CERT: expected certificates in PEM, found others in {certificate}"
        )
        raise InputError(message) from error
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password that is asked for would wait at a terminal; an empty one is refused.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        message = (
            f"ML_RELEASE_TLS_KEY: expected the key of the certificate {certificate}, in PEM and"
            f" without a password, found another or none in {key} ({error.reason})"
        )
        raise InputError(message) from error
    if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        message = (
            f"ML_RELEASE_TLS_CERT: expected a certificate that is valid now, found {certificate},"
            f" valid from {leaf.not_valid_before_utc.isoformat()} to"
            f" {leaf.not_valid_after_utc.isoformat()}"
        )
        raise InputError(message)
