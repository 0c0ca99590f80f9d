"""Writing the report and the card of an evaluated candidate."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ml_release.adapters.report_pages import ReportPages
from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.model_card import CardNotes
from ml_release.domain.release_report import Standing
from ml_release.domain.verdict import Outcome
from ml_release.errors import IntegrityError, NotFoundError, RefusedError
from ml_release.workflows.evaluation_records import EVALUATION_MEASURES, recorded_evaluation
from ml_release.workflows.model_cards import MODEL_CARD
from ml_release.workflows.recorded_pictures import EVALUATION_PICTURES
from ml_release.workflows.release_reports import EVALUATION_REPORT, report_of
from ml_release.workflows.waiving import WaiverRequest, waive
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from pathlib import Path

    from ml_release.domain.release_report import ReleaseReport
    from ml_release_tests.small_line import House


def content(house: House) -> ReleaseReport:
    return report_of(
        house.line, None, tables=house.tables, evidence=house.evidence, now=house.clock.now()
    )


def newest(house: House) -> str:
    return content(house).candidate.model_digest


def failed(house: House) -> None:
    """A candidate that misses one floor."""
    quality = house.line.policies.evaluation.quality
    floors = quality.model_copy(update={"floors": {"auc_score": 0.99}})
    house.line = steps.with_policy(house.line, "evaluation", quality=floors)
    steps.evaluate(house)


def let_go(house: House) -> None:
    request = WaiverRequest(
        rule="score_is_above_floor", subject=None, by="Ada", reason="x", lasts=timedelta(days=1)
    )
    waive(house.line, request, model_digest=None, evidence=house.evidence, clock=house.clock)


def test_the_report_is_made_of_what_is_recorded(evaluated: House) -> None:
    """Verdict, numbers, pictures, every snapshot with its verdict."""
    found = content(evaluated)
    assert found.standing is Standing.PASS
    assert found.measures.verdict_digest == found.verdict.digest
    assert found.measures.evaluated_at == evaluated.clock.now().isoformat()
    assert 0 < (found.measures.label_mean or 0) < 1
    assert [(p.name, p.rows, p.outcome) for p in found.partitions] == [
        (month, 600, Outcome.PASS) for month in ("2013-01", "2013-02", "2013-03")
    ]
    assert {p.title for p in found.pictures} >= {"The primary score per slice"}
    assert found.candidate.algorithm == "sklearn.ensemble.HistGradientBoostingClassifier"


def test_the_report_is_a_file_an_artefact_and_evidence(evaluated: House) -> None:
    """The same bytes, and their digest."""
    written = steps.report(evaluated)
    page = evaluated.reports.files[written.place]
    digest = newest(evaluated)
    assert written.place == f"{steps.LINE}/{digest.removeprefix('sha256:')}.html"
    run = evaluated.experiments.resume(content(evaluated).candidate.run_id)
    assert run.files["evaluation/report.html"] == page
    recorded = json.loads(evaluated.evidence.find(steps.LINE, EVALUATION_REPORT, digest) or b"")
    assert recorded["report_digest"] == written.digest == digest_of_bytes(page)
    assert recorded["verdict_digest"] == content(evaluated).verdict.digest


def test_the_real_page_of_a_real_candidate(evaluated: House, tmp_path: Path) -> None:
    """Rendered twice it is the same page."""
    pages = ReportPages(tmp_path)
    page = pages.page(content(evaluated))
    assert page == pages.page(content(evaluated))
    assert b"</span> Pass</h1>" in page


def test_a_waiver_shows_until_it_ends(evaluated: House) -> None:
    """Then the candidate is held again."""
    failed(evaluated)
    assert content(evaluated).standing is Standing.FAIL
    let_go(evaluated)
    assert content(evaluated).standing is Standing.WAIVED
    evaluated.clock.move(timedelta(days=1))
    assert content(evaluated).standing is Standing.FAIL


def test_a_candidate_that_fails_gets_a_card_and_can_be_registered_on_a_waiver(
    evaluated: House,
) -> None:
    """The card of before the waiver still is about the same verdict; a new one names the waiver."""
    failed(evaluated)
    let_go(evaluated)
    assert steps.register(evaluated).number == 1
    card = steps.card(evaluated).card
    assert "Does not pass. WAIVED by Ada" in card.to_markdown()
    assert dict(card.sections[0].facts)["Version"] == "1"
    steps.gate(evaluated)


def test_without_a_card_nothing_is_registered(prepared: House) -> None:
    """Evaluating alone is not enough."""
    steps.train(prepared, last="2013-03")
    steps.evaluate_only(prepared)
    with pytest.raises(RefusedError, match="expected a model card, found none"):
        steps.register(prepared)
    steps.card(prepared)
    assert steps.register(prepared).number == 1


def test_evaluated_again_or_declared_otherwise_the_card_is_stale(evaluated: House) -> None:
    """Written again it is not."""
    digest = newest(evaluated)
    evaluated.line = steps.with_policy(evaluated.line, "evaluation", minimum_rows=101)
    steps.evaluate_only(evaluated)
    with pytest.raises(RefusedError, match="verdict: the card is about"):
        steps.register(evaluated)
    steps.card(evaluated, digest)
    notes = CardNotes(contact="Ada")
    evaluated.line = evaluated.line.model_copy(update={"card": notes})
    with pytest.raises(RefusedError, match="declared notes: the card is about"):
        steps.register(evaluated)
    steps.card(evaluated)
    assert steps.register(evaluated).number == 1


def test_the_card_is_a_file_an_artefact_and_evidence(evaluated: House) -> None:
    """As Markdown for people, as JSON for acts."""
    written = steps.card(evaluated)
    digest = newest(evaluated)
    assert written.place == f"{steps.LINE}/{digest.removeprefix('sha256:')}.card.md"
    markdown = evaluated.reports.files[written.place]
    assert markdown.decode() == written.card.to_markdown()
    run = evaluated.experiments.resume(content(evaluated).candidate.run_id)
    assert run.files["evaluation/model_card.md"] == markdown
    assert evaluated.evidence.find(steps.LINE, MODEL_CARD, digest) == written.card.to_json()


def test_numbers_of_another_verdict_are_refused(evaluated: House) -> None:
    """A page must not show them beside this one."""
    digest = newest(evaluated)
    changed = {"verdict_digest": steps.NOWHERE}
    steps.edit(evaluated, EVALUATION_MEASURES, digest, lambda numbers: numbers.update(changed))
    for write in (steps.report, steps.card):
        with pytest.raises(RefusedError, match=r"the numbers are about sha256:0.* Evaluate again"):
            write(evaluated)


def test_what_was_not_evaluated_has_neither(prepared: House) -> None:
    """Nor what was judged before numbers were kept."""
    steps.train(prepared, last="2013-03")
    with pytest.raises(NotFoundError, match="expected a recorded evaluation, found no verdict"):
        steps.card(prepared)
    steps.evaluate_only(prepared)
    found = recorded_evaluation(prepared.line, None, evidence=prepared.evidence)
    steps.forget(prepared, EVALUATION_MEASURES, found.candidate.model_digest)
    with pytest.raises(NotFoundError, match="a verdict without its numbers"):
        steps.report(prepared)
    assert prepared.reports.files == {}


def test_pictures_that_were_edited_are_refused(evaluated: House) -> None:
    """A report without any is possible, one with broken ones is not."""
    digest = newest(evaluated)
    evaluated.evidence.record(steps.LINE, EVALUATION_PICTURES, digest, b'{"roc.png": "%%"}')
    with pytest.raises(IntegrityError, match="expected recorded pictures"):
        content(evaluated)
    steps.forget(evaluated, EVALUATION_PICTURES, digest)
    assert content(evaluated).pictures == ()
