"""Content coding: one whole piece of a known coding, within the bound."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import pytest

from ml_release.serving.content_coding import require_known_coding, without_coding
from ml_release.serving.replies import HttpError

if TYPE_CHECKING:
    from collections.abc import Callable

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_comes_out_as_it_was(coding: str) -> None:
    """Up to the limit itself, also if there is nothing in it."""
    for content in (b"", b"x" * 1000):
        assert without_coding(PACK[coding](content), coding, limit=1000) == content


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        pytest.param(lambda body: body[:-1], 400, id="cut off"),
        pytest.param(lambda body: body + b"x", 400, id="something behind"),
        pytest.param(lambda body: body * 2, 400, id="two pieces"),
        pytest.param(lambda body: b"", 400, id="nothing"),
        pytest.param(lambda body: b"{}", 400, id="not packed"),
    ],
)
def test_what_is_not_of_the_coding_is_refused(coding: str, change: object, status: int) -> None:
    """A body that was read in part would be another request."""
    assert callable(change)
    with pytest.raises(HttpError) as caught:
        without_coding(change(PACK[coding](b"x" * 100)), coding, limit=1000)
    assert caught.value.status == status


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused(coding: str) -> None:
    """Fifty megabytes in fifty kilobytes: 413, and never unpacked."""
    with pytest.raises(HttpError, match="at most 1000 bytes when unpacked") as caught:
        without_coding(PACK[coding](bytes(50_000_000)), coding, limit=1000)
    assert caught.value.status == 413


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "x-gzip", "zstd"])
def test_another_coding_is_unsupported(coding: str) -> None:
    """415 that names the codings there are, in the header RFC 9110 has for it too."""
    with pytest.raises(HttpError, match="expected one of gzip, deflate or none") as caught:
        require_known_coding(coding)
    assert caught.value.status == 415
    assert caught.value.headers == (("accept-encoding", "gzip, deflate"),)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [(None, None), ("", None), ("identity", None), (" GZip ", "gzip"), ("deflate", "deflate")],
)
def test_a_known_coding_is_named(stated: str | None, expected: str | None) -> None:
    """In any case of letters; identity is none."""
    assert require_known_coding(stated) == expected
