"""Certificate and key: one clear error before anything is served."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ml_release.errors import InputError
from ml_release.serving.tls import check_tls
from ml_release_tests.serving.certificates import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(tz=UTC)


def test_a_certificate_and_its_key_are_taken(tmp_path: Path) -> None:
    """Nothing is raised."""
    check_tls(*make_certificate(tmp_path, NOW), now=NOW)


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    """Another key, a key with a password, no PEM, no file, a certificate that has ended."""
    certificate, key = make_certificate(tmp_path / "one", NOW)
    _, other_key = make_certificate(tmp_path / "two", NOW)
    _, locked = make_certificate(tmp_path / "three", NOW, password=b"secret")
    nothing = tmp_path / "nothing"
    text = tmp_path / "text"
    text.write_text("no PEM", encoding="utf-8")
    cases = (
        (certificate, other_key, NOW, "expected the key of the certificate"),
        (certificate, locked, NOW, "without a password"),
        (certificate, text, NOW, "expected the key of the certificate"),
        (text, key, NOW, "expected certificates in PEM"),
        (nothing, key, NOW, "ML_RELEASE_TLS_CERT: expected a readable file"),
        (certificate, nothing, NOW, "ML_RELEASE_TLS_KEY: expected a readable file"),
        (certificate, key, NOW + timedelta(days=9), "valid now"),
        (certificate, key, NOW - timedelta(days=9), "valid now"),
    )
    for one, another, now, message in cases:
        with pytest.raises(InputError, match=message):
            check_tls(one, another, now=now)
