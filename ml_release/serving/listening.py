"""Where the server listens: which addresses it may take, and the socket it takes one with."""

from __future__ import annotations

import ipaddress
import socket

from ml_release.errors import InputError


def host_to_listen_on(host: str, *, has_tokens: bool, has_tls: bool, is_behind_proxy: bool) -> str:
    """The address, if nobody can ask over it who may not.

    Parameters
    ----------
    host
        An IP address, or ``localhost``.
    is_behind_proxy
        Whether a proxy ends TLS in front of the server.

    Raises
    ------
    InputError
        If it is no address, or one that others can reach without tokens or without TLS.
    """
    name = "127.0.0.1" if host == "localhost" else host
    try:
        is_loopback = ipaddress.ip_address(name).is_loopback
    except ValueError as error:
        message = (
            f"host {host!r}: expected an IP address, such as a loopback address like 127.0.0.1"
        )
        raise InputError(message) from error
    if is_loopback:
        return name
    if not has_tokens:
        message = (
            f"host {host!r}: expected a loopback address such as 127.0.0.1, because the server has"
            " no access tokens and answers everybody who reaches it. Make one with `ml-release"
            " token NAME --scope predict` and set ML_RELEASE_TOKENS to its file."
        )
        raise InputError(message)
    if not has_tls and not is_behind_proxy:
        message = (
            f"host {host!r}: expected a loopback address such as 127.0.0.1, because without TLS"
            " tokens can be read on the way. Set ML_RELEASE_TLS_CERT and ML_RELEASE_TLS_KEY, or"
            " give --insecure-behind-proxy if a proxy in front of the server ends TLS."
        )
        raise InputError(message)
    return name


def bind(host: str, port: int) -> socket.socket:
    """A socket that has the address, not yet listening.

    Raises
    ------
    InputError
        If the port cannot be taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # Lets a server start again at once after another one has ended, not beside a running one.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        message = (
            f"port {port} on {host}: expected a free port, found that it cannot be taken"
            f" ({error}). Stop the server that runs there, or choose another with --port or"
            " ML_RELEASE_PORT."
        )
        raise InputError(message) from error
    listener.setblocking(False)  # noqa: FBT003 (its only form)
    return listener


def url_of(listener: socket.socket, *, has_tls: bool) -> str:
    """The address of a bound socket as clients write it."""
    scheme = "https" if has_tls else "http"
    host, port = listener.getsockname()[:2]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
