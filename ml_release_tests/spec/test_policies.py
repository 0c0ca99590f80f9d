"""policy.yaml: read strictly, every problem reported at once."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import yaml

from ml_release.errors import DeclarationError
from ml_release.spec.policies import policies_from_yaml

GOOD: dict[str, Any] = {
    "data_gates": {"minimum_rows": 10, "maximum_rows": 20},
    "evaluation": {
        "holdout_days": 7,
        "quality": {"floors": {"auc_score": 0.65}, "champion_margin": 0.01},
    },
    "drift": {"muted": ["temp"]},
    "labels": {},
    "retraining": {},
}


def text_of(**sections: Any) -> str:
    return yaml.safe_dump({**GOOD, **sections})


def test_a_policy_is_read_with_its_defaults() -> None:
    """What is not said is in the class beside the judge."""
    policies = policies_from_yaml(text_of(), subject="policy.yaml")
    assert policies.data_gates.maximum_rows == 20
    assert policies.drift.muted == ("temp",)
    assert policies.evaluation.confidence == 0.95
    assert policies.labels.window_days == 28
    assert policies.retraining.cooldown_days == 7


def test_the_digest_changes_with_every_limit_and_with_nothing_else() -> None:
    """Order and comments are no policy."""
    digest = policies_from_yaml(text_of(), subject="a").digest
    turned = "# a comment\n" + yaml.safe_dump(dict(reversed(GOOD.items())), sort_keys=False)
    assert policies_from_yaml(turned, subject="b").digest == digest
    sections: tuple[dict[str, Any], ...] = (
        {"drift": {"muted": []}},
        {"labels": {"grace_days": 2.0}},
        {"retraining": {"cooldown_days": 8}},
    )
    for section in sections:
        assert policies_from_yaml(text_of(**section), subject="c").digest != digest


def test_all_problems_are_reported_together_with_place_and_value() -> None:
    """An author mends the file once."""
    text = text_of(
        data_gates={"minimum_rows": 0, "maximum_rows": 20},
        evaluation={
            **GOOD["evaluation"],
            "auc_flour": 0.6,
            "quality": {"floors": {"auc_score": 0.65}, "champion_margin": -0.9},
        },
        canary={"alpha": 0.01},
    )
    with pytest.raises(DeclarationError) as refused:
        policies_from_yaml(text, subject="lines/x/policy.yaml")
    message = str(refused.value)
    assert message.startswith("lines/x/policy.yaml: the policy is not valid.\n")
    for place in (
        "data_gates.minimum_rows",
        "evaluation.auc_flour",
        "evaluation.quality.champion_margin",
    ):
        assert f"  - {place}: " in message
    assert "  - canary: " in message
    assert "found -0.9" in message


@pytest.mark.parametrize("section", list(GOOD))
def test_a_section_that_is_missing_is_reported(section: str) -> None:
    """No policy is left to a default as a whole."""
    text = yaml.safe_dump({name: value for name, value in GOOD.items() if name != section})
    with pytest.raises(DeclarationError, match=f"  - {section}: Field required"):
        policies_from_yaml(text, subject="policy.yaml")


@pytest.mark.parametrize(
    "retraining",
    [
        pytest.param({"labels_needed": "5000"}, id="a number as text"),
        pytest.param({"labels_needed": True}, id="yes is not one"),
        pytest.param({"labels_needed": 5000.5}, id="half a label"),
        pytest.param({"labels_needed": None}, id="nothing"),
        pytest.param([], id="a list for a section"),
        pytest.param("7 days", id="a word for a section"),
    ],
)
def test_values_of_another_type_are_refused(retraining: object) -> None:
    """YAML's guesses are not taken for what an author meant."""
    with pytest.raises(DeclarationError, match="retraining"):
        policies_from_yaml(text_of(retraining=retraining), subject="policy.yaml")


@pytest.mark.parametrize("spelling", [".nan", ".inf"])
def test_a_limit_that_is_no_number_is_refused(spelling: str) -> None:
    """It would compare as false with everything, or with nothing."""
    text = text_of().replace("auc_score: 0.65", f"auc_score: {spelling}")
    with pytest.raises(DeclarationError, match=r"evaluation\.quality\.floors\.auc_score"):
        policies_from_yaml(text, subject="policy.yaml")


@pytest.mark.parametrize(
    "text", ["", "a: [", "words", "- a", "2013-01-01", "{2013-01-01: 1}", "&a [*a]", "\x00"]
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """Whatever is in the file, the answer names it."""
    with pytest.raises(DeclarationError, match=r"^policy\.yaml: "):
        policies_from_yaml(text, subject="policy.yaml")


SPAN = {"from": "2013-02-08", "to": "2013-02-10", "limit": 0.5, "champion_margin": 0.02}
FILE = {
    "path": "sets/hard.csv",
    "digest": "sha256:" + "0" * 64,
    "limit": 0.8,
    "champion_margin": 0.02,
    "minimum_rows": 50,
}


def text_with(sets: object) -> str:
    return text_of(evaluation={**GOOD["evaluation"], "sets": sets})


@pytest.mark.parametrize("day", [date(2013, 2, 8), "2013-02-08"])
def test_days_of_a_set_are_read_with_and_without_quotes(day: object) -> None:
    """YAML makes a date of one, a word of the other."""
    text = text_with({"spans": {"storm": {**SPAN, "from": day}}, "files": {"hard": FILE}})
    sets = policies_from_yaml(text, subject="policy.yaml").evaluation.sets
    assert sets is not None
    assert str(sets.spans["storm"]) == "2013-02-08 to 2013-02-10"
    assert sets.files["hard"].score == "right_decisions_share"


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        pytest.param({}, "expected at least one span or file, found none", id="nothing"),
        pytest.param(
            {"spans": {"a": SPAN}, "files": {"a": FILE}}, r"not of both, found \['a'\]", id="twice"
        ),
        pytest.param({"spans": {"a": {**SPAN, "to": "2013-02-07"}}}, "or later", id="turned round"),
        pytest.param({"spans": {"a": {**SPAN, "from": 20130208}}}, "spans.a.from", id="no day"),
        pytest.param(
            {"spans": {"a": {**SPAN, "limit": 0.0}}}, "spans.a.limit", id="a limit all keep"
        ),
        pytest.param({"spans": {" ": SPAN}}, "spans", id="no name"),
        pytest.param({"files": {"a": {**FILE, "digest": "0" * 64}}}, "digest", id="no digest"),
        pytest.param({"files": {"a": {**FILE, "path": "a.txt"}}}, "path", id="no table"),
        pytest.param({"files": {"a": {**FILE, "path": "/a.csv"}}}, "path", id="absolute"),
        pytest.param(
            {"files": {"a": {**FILE, "path": "../a.csv"}}}, "below the landing zone", id="outside"
        ),
        pytest.param({"files": {"a": {**FILE, "score": "f1"}}}, "score", id="unknown score"),
    ],
)
def test_a_set_that_makes_no_sense_is_refused(sets: object, problem: str) -> None:
    """The field is named, or what was expected."""
    with pytest.raises(DeclarationError, match=problem):
        policies_from_yaml(text_with(sets), subject="policy.yaml")
