"""An answer as the client asked for it: JSON, or JSON with its numbers as binary data behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.serving.binary_tensors import LENGTH_HEADER, with_binary_outputs
from ml_release.serving.replies import JSON_HEADER, Reply
from ml_release.serving.routes import OCTETS_TYPE

if TYPE_CHECKING:
    from ml_release.serving.binary_tensors import BinaryWish
    from ml_release.serving.replies import Headers


def answer_reply(
    content: bytes, headers: Headers, wish: BinaryWish | None, *, written: int | None
) -> Reply:
    """An answer in JSON as the reply to a request.

    Parameters
    ----------
    content
        An answer of any protocol; of v2 if there is a ``wish``.
    headers
        Besides those that describe the body.
    wish
        Which outputs the client wants as binary data; None for none.
    written
        Position of its records in the log, as `Reply` has it.
    """
    if wish is not None:
        body, json_bytes = with_binary_outputs(content, wish)
        if json_bytes is not None:
            described = (("content-type", OCTETS_TYPE), (LENGTH_HEADER, str(json_bytes)))
            return Reply(200, body, (*described, *headers), written)
    return Reply(200, content, (JSON_HEADER, *headers), written)
