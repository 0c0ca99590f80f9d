"""What recorded values share."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.recorded import Recorded, read_recorded
from ml_release.errors import IntegrityError


class Weighed(Recorded):
    """Something that is recorded."""

    name: str
    grams: float | None = None


def test_what_is_recorded_is_read_back() -> None:
    """The canonical bytes say everything, and their digest names it."""
    one = Weighed(name="stone", grams=2.5)
    assert one.to_json() == b'{"grams":2.5,"name":"stone"}'
    assert one.digest == digest_of_bytes(one.to_json())
    assert read_recorded(Weighed, one.to_json(), "weight") == one


@pytest.mark.parametrize("content", [b"", b"[]", b'{"name": "stone", "colour": "grey"}', b"{}"])
def test_anything_else_is_refused(content: bytes) -> None:
    """The message names the subject and what was expected."""
    with pytest.raises(IntegrityError, match="weight: expected a stone, found something else"):
        read_recorded(Weighed, content, "weight", expected="a stone")


def test_a_number_that_is_none_is_no_value() -> None:
    """NaN is told as None, never recorded."""
    with pytest.raises(ValidationError):
        Weighed(name="stone", grams=float("nan"))
