"""Records of what features and candidates were built from."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ml_release.adapters.in_memory import InMemoryWorkplace
from ml_release.domain.identity import digest_of_bytes, digest_of_json
from ml_release.domain.provenance import CandidateRecord, FeaturesRecord, record_from_json
from ml_release.errors import IntegrityError

FEATURES = FeaturesRecord(
    line="line",
    partition="2013-02",
    features_digest="sha256:f",
    snapshots={"2013-02": "sha256:b", "2013-01": "sha256:a"},
    declaration="sha256:d",
)
CANDIDATE = CandidateRecord(
    line="line",
    model_digest="sha256:m",
    run_id="run-1",
    partitions={"2013-10": "sha256:y", "2013-09": "sha256:x"},
    snapshots={"2013-09": "sha256:a", "2013-10": "sha256:b"},
    feature_version="sha256:v",
    policy_digest="sha256:p",
    seed=7,
    build=InMemoryWorkplace().build(()),
    parameters={"depth": 3, "rate": 1.0, "name": "x", "early": True, "limit": None},
    window_from="2013-09-01",
    holdout_from="2013-10-18",
    window_to="2013-10-31",
    train_rows=10,
    holdout_rows=4,
    trained_at="2013-11-01T00:00:00+00:00",
)


@pytest.mark.parametrize("record", [FEATURES, CANDIDATE])
def test_a_record_survives_its_bytes(record: FeaturesRecord | CandidateRecord) -> None:
    """The digest is that of the bytes, and types of parameters are kept."""
    read = record_from_json(type(record), record.to_json())
    assert read == record
    assert read.to_json() == record.to_json()
    assert read.digest == digest_of_bytes(record.to_json())


def test_the_order_of_partitions_is_no_content() -> None:
    """The same partitions in another order are the same data and the same record."""
    other = CANDIDATE.model_copy(
        update={"partitions": {"2013-09": "sha256:x", "2013-10": "sha256:y"}}
    )
    assert other.data_digest == CANDIDATE.data_digest
    assert other.digest == CANDIDATE.digest


def test_the_data_digest_is_that_of_every_partition() -> None:
    """Another digest of one partition, or one partition less, is other data."""
    assert CANDIDATE.data_digest == digest_of_json({"2013-09": "sha256:x", "2013-10": "sha256:y"})
    for partitions in ({"2013-09": "sha256:x", "2013-10": "sha256:z"}, {"2013-09": "sha256:x"}):
        other = CANDIDATE.model_copy(update={"partitions": partitions})
        assert other.data_digest != CANDIDATE.data_digest


def test_the_newest_partition_of_the_window_is_its_last() -> None:
    """By its name, not by its place."""
    assert CANDIDATE.last_partition == "2013-10"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"line": None}, id="a field of another type"),
        pytest.param({"more": 1}, id="an unknown field"),
        pytest.param({"snapshots": {}}, id="built from nothing"),
        pytest.param({"parameters": {"depth": [3]}}, id="a list as parameter"),
        pytest.param({"partitions": {}}, id="a window of nothing"),
        pytest.param({"build": None}, id="built by nobody knows what"),
    ],
)
def test_what_is_no_record_is_noticed(change: dict[str, Any]) -> None:
    """A changed document is an integrity error that names the kind."""
    document = {**json.loads(CANDIDATE.to_json()), **change}
    with pytest.raises(IntegrityError, match="CandidateRecord: expected a recorded one"):
        record_from_json(CandidateRecord, json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"no json", CANDIDATE.to_json()])
def test_something_else_is_no_record_of_features(content: bytes) -> None:
    """Neither is the record of a candidate."""
    with pytest.raises(IntegrityError, match="FeaturesRecord: expected a recorded one"):
        record_from_json(FeaturesRecord, content)
