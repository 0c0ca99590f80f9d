"""Feature plans: fitted once, applied alike to a batch and to one row."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.features import (
    SEMANTICS,
    Calendar,
    Category,
    Columns,
    Feature,
    FeaturePlan,
    History,
    Number,
    RequestField,
    encode,
    feature_values,
    fit_plan,
    plan_from_json,
    request_fields,
)
from ml_release.errors import DeclarationError, IntegrityError

FEATURES: tuple[Feature, ...] = (
    Number(name="distance", column="distance"),
    Category(name="carrier", column="carrier", limit=2),
    Calendar(name="weekday", column="at", part="weekday"),
    Calendar(name="minute", column="at", part="minute_of_day"),
    History(name="late_rate", keys=("carrier", "dest")),
)
WORD = st.none() | st.text(max_size=3) | st.sampled_from(["AA", "UA", "DL"])
MOMENT = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 (local times)
ROW = st.tuples(st.floats(), WORD, WORD, MOMENT, st.floats())


def words(*values: str | None) -> npt.NDArray[np.generic]:
    return np.array(values, dtype=object)


def columns_of(
    rows: list[tuple[float, str | None, str | None, datetime, float]],
) -> dict[str, npt.NDArray[np.generic]]:
    return {
        "distance": np.array([row[0] for row in rows]),
        "carrier": words(*(row[1] for row in rows)),
        "dest": words(*(row[2] for row in rows)),
        "at": np.array([row[3] for row in rows], dtype="datetime64[us]"),
        "late_rate": np.array([row[4] for row in rows]),
    }


def one_category(*training: str | None, limit: int = 200) -> FeaturePlan:
    features = (Category(name="c", column="c", limit=limit),)
    return fit_plan(features, {"c": words(*training)})


@given(st.lists(ROW, min_size=1, max_size=8))
def test_one_row_gets_the_same_features_alone_as_in_a_batch(
    rows: list[tuple[float, str | None, str | None, datetime, float]],
) -> None:
    """Serving computes what training computed, bit for bit."""
    values = feature_values(FEATURES, columns_of(rows))
    plan = fit_plan(FEATURES, values)
    batch = encode(plan, values)
    alone = [encode(plan, feature_values(FEATURES, columns_of([row]))) for row in rows]
    np.testing.assert_array_equal(np.vstack(alone), batch)


@given(st.lists(MOMENT, min_size=1, max_size=5))
def test_calendar_parts_are_those_of_python(moments: list[datetime]) -> None:
    """Also before 1970, where counting days since then is negative."""
    columns = {"at": np.array(moments, dtype="datetime64[us]")}
    found = feature_values(FEATURES[2:4], columns)
    assert found["weekday"].tolist() == [moment.weekday() for moment in moments]
    assert found["minute"].tolist() == [moment.hour * 60 + moment.minute for moment in moments]


def test_the_calendar_of_a_missing_time_is_missing() -> None:
    """NaT is NaN in both parts, not a date in the year minus 292277."""
    found = feature_values(FEATURES[2:4], {"at": np.array(["NaT"], dtype="datetime64[us]")})
    assert np.isnan(found["weekday"].astype(float)).all()
    assert np.isnan(found["minute"].astype(float)).all()


def test_words_are_ranked_by_frequency_and_ties_alphabetically() -> None:
    """The order of rows decides nothing."""
    plan = one_category("b", "a", None, "c", "c")
    assert plan.vocabularies == {"c": ("c", "a", "b")}
    assert one_category("a", "c", "b", "c") == plan


@pytest.mark.parametrize(
    ("word", "code"),
    [
        pytest.param("c", 0.0, id="most frequent"),
        pytest.param("a", 1.0, id="second"),
        pytest.param("b", 2.0, id="beyond the limit"),
        pytest.param("unseen", 2.0, id="unseen"),
        pytest.param("", 2.0, id="empty is a word"),
        pytest.param(None, float("nan"), id="missing"),
    ],
)
def test_a_word_has_its_rank_as_code(word: str | None, code: float) -> None:
    """Every word without a rank shares the next code; missing is NaN."""
    plan = one_category("b", "a", "a", "c", "c", "c", limit=2)
    np.testing.assert_array_equal(encode(plan, {"c": words(word)}), [[code]])


@given(st.lists(st.text(max_size=4), min_size=1, max_size=6))
def test_every_word_of_a_small_training_window_has_a_code_of_its_own(seen: list[str]) -> None:
    """Also words that end with NUL, which numpy strings lose."""
    plan = one_category(*seen)
    codes = encode(plan, {"c": words(*seen)})[:, 0]
    assert {word: code for word, code in zip(seen, codes, strict=True)} == {  # noqa: C416
        word: float(rank) for rank, word in enumerate(plan.vocabularies["c"])
    }


def test_a_training_window_without_any_word_knows_none() -> None:
    """Then every word is another one."""
    plan = one_category(None, None)
    np.testing.assert_array_equal(encode(plan, {"c": words("a", None)}), [[0.0], [np.nan]])


def test_a_missing_number_stays_missing() -> None:
    """The model decides what missing means."""
    values = feature_values(FEATURES[:1], {"distance": np.array([np.nan, 1.0])})
    np.testing.assert_array_equal(encode(fit_plan(FEATURES[:1], values), values), [[np.nan], [1.0]])


def test_encoding_does_not_change_its_inputs() -> None:
    """Values are logged after they are encoded."""
    values: Columns = {"distance": np.array([1.0])}
    plan = fit_plan(FEATURES[:1], values)
    matrix = encode(plan, values)
    matrix[:] = 7
    assert values["distance"].tolist() == [1.0]
    assert matrix.flags.c_contiguous


def test_no_rows_give_an_empty_matrix() -> None:
    """An empty request has no features and breaks nothing."""
    values = feature_values(FEATURES, columns_of([]))
    assert encode(fit_plan(FEATURES, values), values).shape == (0, 5)


def test_request_fields_come_in_the_order_of_first_use() -> None:
    """A time is needed; words and numbers may be missing."""
    assert request_fields(FEATURES) == (
        RequestField(name="distance", type="number", nullable=True),
        RequestField(name="carrier", type="string", nullable=True),
        RequestField(name="at", type="timestamp", nullable=False),
        RequestField(name="dest", type="string", nullable=True),
    )


def test_all_contradictions_of_features_are_reported_together() -> None:
    """One column as two types, one name twice, and a history that would hide a column."""
    with pytest.raises(DeclarationError) as refused:
        request_fields(
            (
                Number(name="a", column="x"),
                Category(name="a", column="x"),
                History(name="x", keys=("k",)),
            )
        )
    assert "two features are named 'a'" in str(refused.value)
    assert "column 'x' is used as number and as string" in str(refused.value)
    assert "history feature 'x' has the name of a request column" in str(refused.value)


@pytest.mark.parametrize(
    "declare",
    [
        pytest.param(lambda: History(name="h", keys=()), id="history without keys"),
        pytest.param(lambda: History(name="h", keys=("k",), window_days=0), id="empty window"),
        pytest.param(lambda: History(name="h", keys=("k",), prior_rows=-1), id="negative prior"),
        pytest.param(
            lambda: History(name="h", keys=("k",), prior_rows=float("inf")), id="infinite prior"
        ),
        pytest.param(lambda: Category(name="c", column="c", limit=0), id="no words"),
        pytest.param(
            lambda: Number.model_validate({"name": "n", "column": "n", "unit": "m"}),
            id="unknown key",
        ),
    ],
)
def test_a_feature_that_makes_no_sense_cannot_be_declared(declare: object) -> None:
    """The limits are in the declaration, not found while training."""
    assert callable(declare)
    with pytest.raises(ValidationError):
        declare()


@given(st.lists(ROW, min_size=1, max_size=5))
def test_a_plan_reads_back_from_its_artefact(
    rows: list[tuple[float, str | None, str | None, datetime, float]],
) -> None:
    """The endpoint server gets the very plan that was fitted, with its version."""
    plan = fit_plan(FEATURES, feature_values(FEATURES, columns_of(rows)))
    read = plan_from_json(plan.model_dump_json().encode())
    assert read == plan
    assert read.version == plan.version
    assert read.names == ("distance", "carrier", "weekday", "minute", "late_rate")
    assert read.history_features == FEATURES[4:]


def test_the_feature_version_changes_with_what_was_declared_or_learned() -> None:
    """A model version is pinned to it."""
    plan = one_category("a", "b")
    versions = {
        plan.version,
        one_category("a", "c").version,
        one_category("a", "b", limit=1).version,
        plan.model_copy(update={"semantics": SEMANTICS + 1}).version,
    }
    assert len(versions) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "expected a recorded plan", id="empty"),
        pytest.param(b"{}", "expected a recorded plan", id="no plan"),
        pytest.param(
            b'{"features":[{"kind":"code","name":"x"}],"vocabularies":{}}',
            "expected a recorded plan",
            id="an unknown kind",
        ),
        pytest.param(
            b'{"features":[],"vocabularies":{},"semantics":2}', "semantics 1", id="other semantics"
        ),
        pytest.param(
            b'{"features":[{"kind":"category","name":"c","column":"c"}],"vocabularies":{}}',
            r"expected vocabularies of \['c'\]",
            id="a vocabulary is missing",
        ),
    ],
)
def test_what_is_no_plan_of_this_code_is_refused(content: bytes, message: str) -> None:
    """A plan with another meaning is never applied."""
    with pytest.raises(IntegrityError, match=message):
        plan_from_json(content)
