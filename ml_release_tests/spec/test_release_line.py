"""A release line: contradictions are found when it is declared, all at once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from ml_release.domain.features import Category, History, Number
from ml_release.errors import DeclarationError, InputError
from ml_release.spec.landing_source import LandingSource
from ml_release.spec.policies import Policies
from ml_release.spec.release_line import ReleaseLine
from ml_release.spec.search_space import IntRange
from ml_release_tests.small_regression import SMALL_REGRESSION
from ml_release_tests.spec.test_policies import GOOD

SOURCE = LandingSource(rows="{partition}.parquet", first_partition="2013-01")


def policies(*muted: str, **training: Any) -> Policies:
    return Policies.model_validate({**GOOD, "drift": {"muted": muted}, "training": training})


def declare(**change: Any) -> ReleaseLine:
    values: dict[str, Any] = {
        "name": "line",
        "objective": "to test",
        "owner": "tests",
        "landing": SOURCE,
        "assemble": lambda tables: tables["rows"],
        "schema_of": lambda: None,
        "keys": ("id",),
        "event_time": "at",
        "event_day": "local",
        "target": "label",
        "label_delay": timedelta(days=1),
        "favourable": 0,
        "slices": ("carrier",),
        "features": (
            Number(name="distance", column="miles"),
            Category(name="carrier", column="carrier"),
            History(name="late_rate", keys=("dest",), window_days=28),
        ),
        "build_estimator": lambda parameters, seed: None,
        "policies": policies("distance"),
        **change,
    }
    return ReleaseLine(**values)


def test_a_line_that_hangs_together_can_be_declared() -> None:
    """Its functions are kept and not called."""
    line = declare()
    assert line.categories == ("carrier",)
    rows = pd.DataFrame({"a": [1]})
    assert line.assemble_rows({"rows": rows}) is rows


def test_columns_come_from_landed_rows_and_companions() -> None:
    """A column that is not named has no known source; a landed name may hold dots."""
    landing = SOURCE.model_copy(update={"companions": {"weather": "weather.parquet"}})
    sources = {"temp": ("weather.temp", "rows.time.local")}
    assert declare(landing=landing, column_sources=sources).column_sources == sources
    assert declare().column_sources == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"name": "Flight-Delay"}, "release line 'Flight-Delay'", id="name"),
        pytest.param({"target": "miles"}, "the target 'miles' is used as a feature", id="leak"),
        pytest.param(
            {"target": "dest"}, "the target 'dest' is used as a feature", id="leaking key"
        ),
        pytest.param(
            {"policies": policies("temp")}, r"names no feature: \['temp'\]", id="unknown muted"
        ),
        pytest.param(
            {"column_sources": {"x": ("weather.temp",)}},
            r"column_sources.x: expected table.column with a table of \['rows'\], found 'weather",
            id="sources in an unknown table",
        ),
        pytest.param(
            {"column_sources": {"x": ("temp",)}}, "table.column .* found 'temp'", id="no table"
        ),
        pytest.param({"column_sources": {"x": ("rows.",)}}, "found 'rows.'", id="no column"),
        pytest.param(
            {"column_sources": {"x": ()}}, "one source or more, each once", id="no source"
        ),
        pytest.param(
            {"column_sources": {"x": ("rows.a", "rows.a")}}, "each once", id="a source twice"
        ),
        pytest.param(
            {"personal": {"gate": "hash"}},
            r"personal names no request columns: \['gate'\]",
            id="personal without a column",
        ),
        pytest.param({"personal": {"dest": "blur"}}, "  - personal", id="an unknown mask"),
        pytest.param(
            {"slices": ("gate",)}, r"slices are no request columns: \['gate'\]", id="unknown slice"
        ),
        pytest.param({"features": ()}, "  - features: ", id="no features"),
        pytest.param({"keys": ()}, "  - keys: ", id="no keys"),
        pytest.param({"favourable": 2}, "  - favourable: ", id="no outcome"),
        pytest.param(
            {"favourable": None}, "favourable: expected 0 or 1 for a classifier", id="none favoured"
        ),
        pytest.param({"task": "ranking"}, "  - task: ", id="an unknown task"),
        pytest.param(
            {"task": "multiclass"},
            "  - task: .*'classification' or 'regression'",
            id="a task of several classes",
        ),
        pytest.param(
            {"task": "regression", "policies": policies(search_objective="pinball_loss")},
            "favourable: expected none for a regressor, found 0",
            id="a favourable number",
        ),
        pytest.param(
            {"task": "regression", "favourable": None},
            "search_objective: expected one of regression, .*'pinball_loss'.*found 'log_loss'",
            id="an objective of classifiers",
        ),
        pytest.param(
            {"policies": policies(search_objective="mean_absolute_error")},
            "search_objective: expected one of classification",
            id="an objective of regressors",
        ),
        pytest.param(
            {
                "task": "regression",
                "favourable": None,
                "policies": policies(search_objective="pinball_loss", calibration="sigmoid"),
            },
            "calibration: expected none for a regressor, found 'sigmoid'",
            id="a calibrated regressor",
        ),
        pytest.param(
            {"parameters": {"depth": 3}, "search_space": {"dept": IntRange(low=1, high=5)}},
            r"search_space names no parameter: \['dept'\]; known: \['depth'\]",
            id="an unknown parameter",
        ),
        pytest.param(
            {"parameters": {"depth": 9}, "search_space": {"depth": IntRange(low=1, high=5)}},
            "search_space.depth: expected the declared value inside it, found 9",
            id="declared outside of the space",
        ),
        pytest.param(
            {"parameters": {"depth": 3}, "search_space": {"depth": (1, 5)}},
            "  - search_space.depth: ",
            id="no range",
        ),
        pytest.param(
            {"policies": policies("distance", search_trials=5)},
            "search_trials: expected a search_space for 5 trials, found none",
            id="a search in nothing",
        ),
        pytest.param(
            {"policies": policies("distance", embargo_days=0)},
            "embargo_days: expected the label delay of 1 days or more, found 0",
            id="labels from the future",
        ),
        pytest.param({"color": "red"}, "  - color: ", id="an unknown key"),
        pytest.param({"assemble": "a function"}, "  - assemble: ", id="no function"),
        pytest.param(
            {
                "features": (
                    Number(name="x", column="carrier"),
                    Category(name="x", column="carrier"),
                )
            },
            "two features are named 'x'; column 'carrier' is used as number and as string",
            id="contradicting features",
        ),
        pytest.param(
            {"text_columns": ("note", "note")},
            "text_columns: expected each once, found .'note'. several times",
            id="a text column twice",
        ),
        pytest.param(
            {"text_columns": ("label",)},
            "text_columns: expected columns of free text, found .'label'.",
            id="the target as text",
        ),
        pytest.param(
            {"text_columns": ("carrier",), "personal": {"carrier": "hash"}},
            "found .'carrier'., which are masked as personal",
            id="masked texts",
        ),
        pytest.param(
            {"text_columns": ("customer_email",)},
            "found .'customer_email'., which are personal by their name",
            id="personal texts",
        ),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(change: dict[str, Any], problem: str) -> None:
    """Before anything runs, and as the author's error."""
    with pytest.raises(DeclarationError, match=problem):
        declare(**change)


def test_all_problems_of_a_line_are_reported_together() -> None:
    """An author mends the line once: contradictions together, and bad fields together."""
    with pytest.raises(DeclarationError) as contradictions:
        declare(name="X", target="miles", slices=("gate",), policies=policies("temp"))
    for problem in ("release line 'X'", "'miles' is used", "['gate']", "['temp']"):
        assert problem in str(contradictions.value)
    with pytest.raises(DeclarationError) as fields:
        declare(keys=(), favourable=7, owner=None, color="red")
    for field in ("keys", "favourable", "owner", "color"):
        assert f"  - {field}: " in str(fields.value)


def test_a_line_cannot_be_changed_after_it_was_declared() -> None:
    """A verdict names the policy it was judged under."""
    with pytest.raises(ValidationError, match="frozen"):
        declare().name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        pytest.param({"rows": "rows.parquet"}, ["{partition} once"], id="no partition"),
        pytest.param(
            {"rows": "{partition}/{partition}"}, ["{partition} once"], id="two partitions"
        ),
        pytest.param({"first_partition": "2013-13"}, ["'2013-13'"], id="no month"),
        pytest.param({"last_partition": "2013"}, ["'2013'"], id="a year"),
        pytest.param({"last_partition": "2012-12"}, ["2013-01 or later"], id="the end before"),
        pytest.param(
            {"rows": "x", "first_partition": "a", "last_partition": "b"},
            ["{partition}", "'a'", "'b'"],
            id="everything at once",
        ),
        pytest.param({"pattern": "x"}, ["pattern"], id="an unknown key"),
    ],
)
def test_a_landing_source_that_makes_no_sense_is_refused(
    change: dict[str, str], problems: list[str]
) -> None:
    """With every problem in one message."""
    values = {"rows": "{partition}.parquet", "first_partition": "2013-01", **change}
    with pytest.raises(ValidationError) as refused:
        LandingSource.model_validate(values)
    for problem in problems:
        assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("partition", "count", "expected"),
    [
        pytest.param("2013-03", 0, ("2013-03",), id="none before"),
        pytest.param("2013-03", 2, ("2013-01", "2013-02", "2013-03"), id="two before"),
        pytest.param("2013-02", 5, ("2013-01", "2013-02"), id="not before the first"),
        pytest.param("2014-01", 1, ("2013-12", "2014-01"), id="over the year"),
    ],
)
def test_the_partitions_before_one_end_at_the_first_declared(
    partition: str, count: int, expected: tuple[str, ...]
) -> None:
    """In order, the partition itself last."""
    assert SOURCE.with_earlier(partition, count=count) == expected


def test_months_between_two_include_both() -> None:
    """Over the year; backwards there are none."""
    assert SOURCE.between("2013-11", "2014-02") == ("2013-11", "2013-12", "2014-01", "2014-02")
    assert SOURCE.between("2013-02", "2013-01") == ()


@pytest.mark.parametrize("partition", ["2013", "2013-00", "2013-13", "x", "2013-01-01"])
def test_a_partition_that_is_no_month_is_refused(partition: str) -> None:
    """It came from a command line."""
    with pytest.raises(InputError, match="expected a month as 2013-01"):
        SOURCE.with_earlier(partition, count=1)


@pytest.mark.parametrize(("window_days", "months"), [(1, 1), (28, 1), (29, 2), (56, 2), (57, 3)])
def test_history_looks_back_far_enough_for_the_shortest_months(
    window_days: int, months: int
) -> None:
    """A window that begins on the first of March may need all of February."""
    feature = History(name="h", keys=("dest",), window_days=window_days)
    line = declare(features=(feature,), slices=(), policies=policies())
    assert line.lookback_partitions == months


def test_a_regressor_needs_no_favourable_label() -> None:
    """Its objective is one of regressors."""
    objective = policies("distance", search_objective="mean_absolute_error").model_copy(
        update={"evaluation": SMALL_REGRESSION.policies.evaluation}
    )
    line = declare(task="regression", favourable=None, policies=objective)
    assert (line.task, line.favourable) == ("regression", None)


def test_a_search_space_is_read_from_plain_values() -> None:
    """As kinds by their name."""
    space = {"depth": {"kind": "int", "low": 1, "high": 5}}
    line = declare(parameters={"depth": 3, "rate": 0.1}, search_space=space)
    assert line.search_space == {"depth": IntRange(low=1, high=5)}


@pytest.mark.parametrize(
    ("embargo", "days"),
    [pytest.param(None, 2, id="the label delay"), pytest.param(5, 5, id="as declared")],
)
def test_the_embargo_is_the_label_delay_unless_more_is_declared(
    embargo: int | None, days: int
) -> None:
    """In whole days, rounded up."""
    declared = policies("distance", embargo_days=embargo)
    line = declare(label_delay=timedelta(hours=30), policies=declared)
    assert line.embargo_days == days


def test_without_history_no_earlier_partition_is_needed() -> None:
    """Nothing is read that is not used."""
    line = declare(features=(Number(name="distance", column="miles"),), slices=())
    assert line.lookback_partitions == 0
