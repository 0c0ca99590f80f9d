"""What does not fit together in a declared release line, beyond what each field says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ml_release.domain.features import Category, Number, request_fields
from ml_release.domain.identity import check_line_name
from ml_release.domain.personal_data import kinds_of_name
from ml_release.domain.quality_policy import ERRORS
from ml_release.domain.retention import retention_problems
from ml_release.domain.search_objectives import objectives_of
from ml_release.domain.training_plan import whole_days
from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from ml_release.spec.release_line import ReleaseLine


def problems_of(line: ReleaseLine) -> list[str]:
    """Every one of them, each with what was expected and what was found."""
    return [
        *_basic_problems(line),
        *_remembering_problems(line),
        *_text_problems(line),
        *_source_problems(line),
        *_task_problems(line),
        *_search_problems(line),
        *_evaluation_problems(line),
        *_decision_problems(line),
        *_set_problems(line),
    ]


def _basic_problems(line: ReleaseLine) -> list[str]:
    """Names, columns, times, labels."""
    problems: list[str] = []
    fields: set[str] = set()
    try:
        check_line_name(line.name)
    except DeclarationError as error:
        problems.append(str(error))
    try:
        fields = {field.name for field in request_fields(line.features)}
    except DeclarationError as error:
        problems.append(str(error))
    try:
        ZoneInfo(line.time_zone)
    except (ValueError, ZoneInfoNotFoundError):
        problems.append(f"time zone {line.time_zone!r}: expected one as America/New_York")
    if line.target in fields:
        problems.append(f"the target {line.target!r} is used as a feature")
    if line.labels is not None:
        columns = line.labels.columns(line.keys)
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            problems.append(f"labels: columns of the files are keys as well: {twice}")
    names = {feature.name for feature in line.features}
    for field in ("muted", "seasonal", "missing_increase_limits"):
        unknown = sorted(set(getattr(line.policies.drift, field)) - names)
        if unknown:
            problems.append(
                f"policy drift.{field} names no feature: {unknown}; known: {sorted(names)}"
            )
    missing = sorted(set(line.slices) - fields) if fields else []
    if missing:
        problems.append(f"slices are no request columns: {missing}; known: {sorted(fields)}")
    return problems


def _remembering_problems(line: ReleaseLine) -> list[str]:
    """What is wrong with how served requests are remembered."""
    problems = []
    used = {field.name for feature in line.features for field in request_fields([feature])}
    unused = sorted(set(line.personal) - used)
    if unused:
        problems.append(f"personal names no request columns: {unused}; known: {sorted(used)}")
    retention = line.policies.retention
    if retention is not None:
        problems += retention_problems(
            retention, label_delay=line.label_delay, labels=line.policies.labels
        )
    return problems


def _text_problems(line: ReleaseLine) -> list[str]:
    """Which text columns must not be sampled."""
    problems = []
    twice = sorted({name for name in line.text_columns if line.text_columns.count(name) > 1})
    if twice:
        problems.append(f"text_columns: expected each once, found {twice} several times")
    taken = sorted({*line.text_columns} & {line.target, line.event_time, line.event_day})
    if taken:
        problems.append(f"text_columns: expected columns of free text, found {taken}")
    masked = sorted({*line.text_columns} & {*line.personal})
    named = sorted(name for name in line.text_columns if kinds_of_name(name))
    for names, why in ((masked, "are masked as personal"), (named, "are personal by their name")):
        if names:
            problems.append(
                f"text_columns: expected columns whose texts may travel with a version, found"
                f" {names}, which {why}"
            )
    return problems


def _source_problems(line: ReleaseLine) -> list[str]:
    """What is wrong with the declared sources of columns."""
    tables = ["rows", *sorted(line.landing.companions)]
    problems = []
    for column, sources in line.column_sources.items():
        for source in sources:
            table, _, name = source.partition(".")
            if table not in tables or not name:
                problems.append(
                    f"column_sources.{column}: expected table.column with a table of {tables},"
                    f" found {source!r}"
                )
        if not sources or len(set(sources)) < len(sources):
            problems.append(
                f"column_sources.{column}: expected one source or more, each once, found"
                f" {list(sources)}. Leave out a column whose sources are not known"
            )
    return problems


def _task_problems(line: ReleaseLine) -> list[str]:
    """What does not fit what the estimator answers."""
    problems = []
    training = line.policies.training
    if line.task == "classification" and line.favourable is None:
        problems.append("favourable: expected 0 or 1 for a classifier, found none")
    if line.task == "regression" and line.favourable is not None:
        problems.append(f"favourable: expected none for a regressor, found {line.favourable}")
    if training.search_objective not in objectives_of(line.task):
        problems.append(
            f"policy training.search_objective: expected one of {line.task},"
            f" {list(objectives_of(line.task))}, found {training.search_objective!r}"
        )
    if training.calibration != "none" and line.task != "classification":
        problems.append(
            f"policy training.calibration: expected none for a regressor, found"
            f" {training.calibration!r}"
        )
    return problems


def _evaluation_problems(line: ReleaseLine) -> list[str]:
    """What the evaluation gates are asked for that fits neither task nor features."""
    problems = []
    evaluation = line.policies.evaluation
    quality, is_regressor = evaluation.quality, line.task == "regression"
    of_regressors = {quality.primary, *quality.ceilings} & set(ERRORS)
    of_classifiers = {quality.primary, *quality.floors, *quality.ceilings} - set(ERRORS)
    if is_regressor and of_classifiers:
        problems.append(
            f"policy evaluation.quality: expected errors of {list(ERRORS)} for a regressor,"
            f" found {sorted(of_classifiers)}"
        )
    if not is_regressor and of_regressors:
        problems.append(
            "policy evaluation.quality: expected scores and losses of a classifier, found"
            f" {sorted(of_regressors)}"
        )
    if is_regressor and (evaluation.fairness or quality.calibration_error_limit is not None):
        problems.append(
            "policy evaluation: expected neither fairness nor calibration_error_limit for a"
            " regressor, which decides nothing and answers no probabilities"
        )
    if evaluation.fairness and not line.sensitive:
        problems.append("policy evaluation.fairness: expected sensitive columns, found none")
    if evaluation.slices and not line.slices:
        problems.append("policy evaluation.slices: expected columns to slice by, found none")
    carried = {f.column for f in line.features if isinstance(f, Category | Number)}
    lacking = sorted({*line.slices, *line.sensitive} - carried)
    if lacking:
        problems.append(
            f"slices and sensitive: expected columns of a Number or Category feature, found"
            f" {lacking}"
        )
    names = {feature.name for feature in line.features}
    for test in evaluation.behaviour.tests:
        unknown = sorted(set(test.features) - names)
        if unknown:
            problems.append(
                f"policy evaluation.behaviour {test.name!r} names no feature: {unknown};"
                f" known: {sorted(names)}"
            )
    core = sorted(set(evaluation.attribution.core_features) - names)
    if core:
        problems.append(
            f"policy evaluation.attribution.core_features names no feature: {core}; known:"
            f" {sorted(names)}"
        )
    return problems


def _decision_problems(line: ReleaseLine) -> list[str]:
    """Bands of what is never measured would never speak."""
    policy = line.policies.decisions
    bands = (policy.retrain_cost_rise, policy.roll_back_cost_rise)
    if all(band is None for band in bands) or line.policies.evaluation.quality.costs is not None:
        return []
    return [
        "policy decisions: expected cost_false_positive and cost_false_negative in"
        " evaluation.quality for the declared rise of costs, found none"
    ]


def _set_problems(line: ReleaseLine) -> list[str]:
    """What the declared sets are asked for that fits neither scores nor landing."""
    sets = line.policies.evaluation.sets
    if sets is None:
        return []
    primary = line.policies.evaluation.quality.primary
    first, last = line.landing.first_partition, line.landing.last_partition
    problems = []
    for name, span in sets.spans.items():
        months = (str(span.first_day)[:7], str(span.last_day)[:7])
        if months[0] < first or (last is not None and months[1] > last):
            problems.append(
                f"policy evaluation.sets.spans {name!r}: expected days of the months {first} to"
                f" {last or 'any later one'}, found {span}"
            )
    for name, file in sets.files.items():
        if file.score == "right_decisions_share" and line.task == "regression":
            problems.append(
                f"policy evaluation.sets.files {name!r}.score: expected primary for a regressor,"
                f" which decides nothing, found {file.score!r}"
            )
    shares = {
        **{f"spans {name!r}": (primary, span.limit) for name, span in sets.spans.items()},
        **{
            f"files {name!r}": (primary if file.score == "primary" else file.score, file.limit)
            for name, file in sets.files.items()
        },
    }
    problems += [
        f"policy evaluation.sets.{place}.limit: expected at most 1 for {score}, found {limit:g}"
        for place, (score, limit) in shares.items()
        if score.endswith(("_score", "_share")) and limit > 1
    ]
    return problems


def _search_problems(line: ReleaseLine) -> list[str]:
    """What is wrong with the search space and the folds it is tried on."""
    problems = []
    unknown = sorted(set(line.search_space) - set(line.parameters))
    if unknown:
        problems.append(
            f"search_space names no parameter: {unknown}; known: {sorted(line.parameters)}"
        )
    problems += [
        f"search_space.{name}: expected the declared value inside it, found"
        f" {line.parameters[name]!r}"
        for name, range_ in line.search_space.items()
        if name in line.parameters and not range_.holds(line.parameters[name])
    ]
    training = line.policies.training
    if training.search_trials and not line.search_space:
        problems.append(
            f"policy training.search_trials: expected a search_space for"
            f" {training.search_trials} trials, found none"
        )
    delay = whole_days(line.label_delay)
    if training.embargo_days is not None and training.embargo_days < delay:
        problems.append(
            f"policy training.embargo_days: expected the label delay of {delay} days or more,"
            f" found {training.embargo_days}"
        )
    return problems
