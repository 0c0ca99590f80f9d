"""Every malformed request has one thing wrong, and the endpoint's own reader refuses each."""

from __future__ import annotations

import json

import pytest

from ml_release.domain.artefact import InputField, Signature
from ml_release.domain.malformed_requests import Malformed, malformed_requests
from ml_release.errors import InputError
from ml_release.serving.protocols import decode_invocations

SIGNATURE = Signature(
    line="flight_delay",
    inputs=(
        InputField(name="distance", type="number", nullable=True),
        InputField(name="carrier", type="string", nullable=True),
        InputField(name="departure", type="timestamp", nullable=False),
    ),
    output="probability_late",
)
RECORD = {"distance": 733.0, "carrier": "UA", "departure": "2013-10-01T06:30:00"}
CASES = malformed_requests(SIGNATURE, RECORD)


def test_the_request_they_are_made_of_is_good() -> None:
    """Otherwise they would show nothing."""
    body = json.dumps({"dataframe_records": [RECORD]}).encode()
    assert decode_invocations(body, SIGNATURE).rows == 1


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_reader_of_the_endpoint_refuses_each(case: Malformed) -> None:
    """As an error of the client."""
    with pytest.raises(InputError):
        decode_invocations(case.body, SIGNATURE)


def test_every_column_is_tried_in_every_way() -> None:
    """Null only where it is not allowed, infinity only where there are numbers."""
    names = {case.name for case in CASES}
    assert len(names) == len(CASES)
    assert "null in departure" in names
    assert "null in distance" not in names
    assert [name for name in names if name.startswith("an infinite")] == [
        "an infinite number in distance"
    ]
