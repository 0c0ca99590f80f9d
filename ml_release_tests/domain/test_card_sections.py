"""What a model card says."""

from __future__ import annotations

from typing import Any

from ml_release.domain.card_sections import build_card
from ml_release.domain.model_card import CardNotes, ModelCard
from ml_release.domain.verdict import Outcome
from ml_release_tests.release_reports import (
    CANDIDATE,
    MEASURES,
    NOTES,
    NOTHING,
    finding,
    verdict,
    waived,
)


def card_of(*findings: Any, **changes: Any) -> ModelCard:
    given = {"declared": NOTES, "candidate": CANDIDATE, "measures": MEASURES} | changes
    return build_card(
        given["declared"],
        given["candidate"],
        verdict(*findings),
        given["measures"],
        waived=given.get("waived", ()),
        version=given.get("version"),
    )


def facts(card: ModelCard) -> dict[str, str]:
    return {name: text for section in card.sections for name, text in section.facts}


def points(card: ModelCard, title: str) -> tuple[str, ...]:
    (section,) = (section for section in card.sections if section.title == title)
    return section.points


def test_the_sections_are_those_of_the_paper_with_behaviour() -> None:
    """In its order."""
    assert [section.title for section in card_of(finding()).sections] == [
        "Model details",
        "Intended use",
        "Factors",
        "Metrics",
        "Evaluation data",
        "Training data",
        "Quantitative analyses",
        "Behavioural tests",
        "Ethical considerations",
        "Caveats and recommendations",
    ]


def test_what_is_known_is_said() -> None:
    """With its digests, numbers and intervals."""
    card = card_of(finding(), version=3)
    found = facts(card)
    assert found["Version"] == "3"
    assert found["Intended use"] == "tests"
    assert found["Mean label (base rate)"] == "0.25"
    assert found["Label"] == "is_late, known 1 day after the event"
    assert found["Against the champion"] == "version 3: auc_score differs by 0.7 (0.6 to 0.8)"
    assert points(card, "Training data") == ("Left out: 2013-02, its gate failed",)
    assert "| carrier AA | auc_score | 0.7 | 0.6 to 0.8 | 100 | yes |" in card.to_markdown()
    assert (card.candidate_digest, card.notes_digest) == (CANDIDATE.digest, NOTES.digest)
    assert card.verdict_digest == verdict(finding()).digest


def test_what_is_not_known_is_the_word_unknown() -> None:
    """Neither zero nor a guess."""
    card = card_of(
        finding(),
        declared=NOTES.model_copy(update={"notes": CardNotes()}),
        candidate=CANDIDATE.model_copy(update={"algorithm": None}),
        measures=NOTHING,
    )
    found = facts(card)
    for name in (
        "Version",
        "Whom to ask",
        "Algorithm",
        "Intended use",
        "Expected calibration error",
        "Mean label (base rate)",
        "Per slice",
        "Fairness",
    ):
        assert found[name] == "unknown", name
    assert "| auc_score | unknown | unknown | 0.95 | 0 |" in card.to_markdown()
    assert points(card, "Ethical considerations") == ("unknown",)
    assert points(card, "Intended use") == ("Not for: unknown",)
    assert points(card, "Caveats and recommendations") == (
        "Limitation: unknown",
        "Known issue: unknown",
    )


def test_what_does_not_pass_is_a_caveat_waived_or_not() -> None:
    """A waiver makes no pass of it."""
    held, let_go = finding(Outcome.FAIL), finding(Outcome.INCONCLUSIVE, subject="log_loss")
    card = card_of(held, let_go, waived=(waived(let_go),))
    *_, first, second = points(card, "Caveats and recommendations")
    assert first.startswith("Does not pass: score_is_above_floor [auc_score on the holdout] fail")
    assert second.startswith("Does not pass. WAIVED by Ada until 2026-11-23")
    assert facts(card)["Verdict"] == "fail, not a pass"


def test_behavioural_tests_are_listed() -> None:
    """With observed value and limit."""
    test = finding(
        rule="behaves_as_declared", subject="invariance: a mile more", bound="at most", unit="share"
    )
    assert "| invariance: a mile more | pass | 0.6 | at most 0.65 | share |" in (
        card_of(test).to_markdown()
    )
    assert points(card_of(finding()), "Behavioural tests") == ("none declared",)
