"""Masking: equality survives, the value does not."""

from __future__ import annotations

from typing import Any

import pytest

from ml_release.domain.features import Calendar, Category, Feature, History, Number
from ml_release.domain.masking import HASH_PREFIX, Masking, masks_of
from ml_release_tests.adapters.test_inference_log import LINE, a_record

FEATURES: tuple[Feature, ...] = (
    Number(name="years", column="age"),
    Category(name="town", column="town"),
    Calendar(name="weekday", column="born", part="weekday"),
    History(name="rate", keys=("town", "age")),
)


@pytest.mark.parametrize(
    ("personal", "expected"),
    [
        ({}, {}),
        ({"town": "hash"}, {"town": "hash", "rate": "hash"}),
        ({"born": "drop"}, {"born": "drop", "weekday": "drop"}),
        (
            {"town": "hash", "age": "drop"},
            {"town": "hash", "age": "drop", "years": "drop", "rate": "drop"},
        ),
    ],
)
def test_a_feature_is_masked_as_its_columns_are(personal: Any, expected: Any) -> None:
    """Also one that is looked up by a personal key."""
    assert masks_of(personal, FEATURES) == expected


def masked(key: bytes = b"k" * 32, line: str = LINE, **features: Any) -> dict[str, Any]:
    masking = Masking(line=line, masks={"town": "hash", "years": "hash", "born": "drop"}, key=key)
    return dict(masking.of_record(a_record(features=features)).features)


def test_equal_values_stay_equal_and_others_differ() -> None:
    """Per line, column and key; missing stays missing, and what is not personal stays."""
    one = masked(town="Oslo", years=41.0, born="2000", temp=3.0)
    assert set(one) == {"town", "years", "temp"}
    assert one["temp"] == 3.0
    assert one == masked(town="Oslo", years=41.0, born="1999", temp=3.0)
    assert one["town"].startswith(HASH_PREFIX)
    assert "Oslo" not in str(one)
    others = [
        masked(town="Rome")["town"],
        masked(years="Oslo")["years"],
        masked(key=b"x" * 32, town="Oslo")["town"],
        masked(line="other", town="Oslo")["town"],
    ]
    assert len({one["town"], *others}) == 5
    assert masked(years=41.0)["years"] != masked(years="41.0")["years"]
    assert masked(town=None) == {"town": None}


def test_the_message_of_a_failed_model_is_left_out() -> None:
    """It may quote a value."""
    masking = Masking(line=LINE, masks={"town": "hash"}, key=b"k" * 32)
    failed = masking.of_record(a_record(error="cannot read 'Oslo'", features={"town": "Oslo"}))
    assert "Oslo" not in str(failed)
    assert failed.error


def test_a_line_without_personal_columns_is_logged_as_it_is() -> None:
    """The very same record."""
    record = a_record(error="it broke")
    assert Masking(line=LINE, masks={}, key=b"").of_record(record) is record
