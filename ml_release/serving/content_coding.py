"""Takes the compression off a request body, and stops at a bound.

https://www.rfc-editor.org/rfc/rfc9110.html#name-content-codings
"""

from __future__ import annotations

import zlib

from ml_release.serving.replies import HttpError

CODINGS = ("gzip", "deflate")

# What zlib is told about the frame around the data; "deflate" means zlib's own (RFC 9110, 8.4.1.2).
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def require_known_coding(coding: str | None) -> str | None:
    """The coding in lower case, None for none.

    Raises
    ------
    HttpError
        415 for any other, and for several at once.
    """
    name = (coding or "identity").strip().lower()
    if name == "identity":
        return None
    if name not in CODINGS:
        message = (
            f"header content-encoding: expected one of {', '.join(CODINGS)} or none, found"
            f" {name[:80]!a}"
        )
        raise HttpError(415, message, (("accept-encoding", ", ".join(CODINGS)),))
    return name


def without_coding(body: bytes, coding: str, *, limit: int) -> bytes:
    """The body as it was before it was compressed.

    Parameters
    ----------
    limit
        Bytes; no more than one byte beyond is ever unpacked.

    Raises
    ------
    HttpError
        400 if it is not of this coding, cut off or followed by something else; 413 if it is
        longer than the limit.
    """
    unpacking = zlib.decompressobj(_WINDOW_BITS[coding])
    try:
        content = unpacking.decompress(body, limit + 1)
    except zlib.error as error:
        message = f"request body: expected {coding} data as content-encoding says ({error})"
        raise HttpError(400, message) from error
    if len(content) > limit:
        message = f"request body: expected at most {limit} bytes when unpacked, found more"
        raise HttpError(413, message)
    if not unpacking.eof or unpacking.unused_data:
        found = "more behind its end" if unpacking.eof else "that it ends early"
        message = f"request body: expected one whole piece of {coding} data, found {found}"
        raise HttpError(400, message)
    return content
