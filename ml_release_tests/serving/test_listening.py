"""Addresses: nobody reaches the server who may not ask it."""

from __future__ import annotations

import pytest

from ml_release.errors import InputError
from ml_release.serving.listening import host_to_listen_on

ANY = "0.0.0.0"  # noqa: S104


@pytest.mark.parametrize(
    ("host", "tokens", "tls", "proxy", "outcome"),
    [
        ("127.0.0.1", False, False, False, "127.0.0.1"),
        ("localhost", False, False, False, "127.0.0.1"),
        ("::1", False, False, False, "::1"),
        (ANY, False, False, False, "no access tokens"),
        ("::", False, True, False, "no access tokens"),
        ("192.0.2.1", False, True, True, "no access tokens"),
        (ANY, True, False, False, "without TLS"),
        (ANY, True, True, False, ANY),
        (ANY, True, False, True, ANY),
        ("example.org", True, True, True, "expected an IP address"),
        ("", True, True, True, "expected an IP address"),
    ],
)
def test_other_hosts_need_tokens_and_tls(
    host: str, tokens: bool, tls: bool, proxy: bool, outcome: str
) -> None:
    """Loopback always; others with tokens, and TLS of the server's own or of a proxy's."""
    if " " not in outcome:
        found = host_to_listen_on(host, has_tokens=tokens, has_tls=tls, is_behind_proxy=proxy)
        assert found == outcome
    else:
        with pytest.raises(InputError, match=outcome):
            host_to_listen_on(host, has_tokens=tokens, has_tls=tls, is_behind_proxy=proxy)
