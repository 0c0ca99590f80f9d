"""Personal data: what is found, what is not, and how it is shown."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ml_release.domain.gates_privacy import PersonalColumn, PersonalDataPolicy, judge_privacy
from ml_release.domain.personal_data import kinds_in, kinds_of_name, masked
from ml_release.domain.verdict import Outcome

PASS, INCONCLUSIVE, FAIL = Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL
MAIL = PersonalColumn(column="contact", kind="email", rows=3, example="for example a**@*")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("ada@example.org", ("email",)),
        ("from <Ada.L+x@mail.example.co.uk>, sent", ("email",)),
        ("ada@localhost", ()),
        ("@handle", ()),
        ("DE89370400440532013000", ("iban",)),
        ("GB82 WEST 1234 5698 7654 32", ("iban",)),
        ("DE88370400440532013000", ()),
        ("4111111111111111", ("credit_card",)),
        ("5500-0000-0000-0004", ("credit_card",)),
        ("4111111111111112", ()),
        ("1111111111111117", ()),
        ("192.168.0.1", ("ip_address",)),
        ("256.1.1.1", ()),
        ("1.2.3", ()),
        ("1.2.3.4.5", ()),
        ("078-05-1120", ("us_ssn",)),
        ("666-05-1120", ()),
        ("078-00-1120", ()),
        ("2013-01-01", ()),
        ("+49 30 1234567", ("phone",)),
        ("(212) 555-0123", ("phone",)),
        ("212-555-0123", ("phone",)),
        ("2125550123", ()),
        ("N14228", ()),
        ("UA", ()),
        ("", ()),
    ],
)
def test_a_value_is_known_by_its_form_and_check_digits(text: str, kinds: tuple[str, ...]) -> None:
    """What merely resembles is not taken for it."""
    assert kinds_in(text) == kinds


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("email", ("email",)),
        ("passengerEmail", ("email",)),
        ("Home_Phone", ("phone",)),
        ("client_ip", ("ip_address",)),
        ("first_name", ("person_name",)),
        ("date_of_birth", ("birth_date",)),
        ("ssn", ("us_ssn",)),
        ("tailnum", ()),
        ("ship", ()),
        ("japan", ()),
        ("emails_sent_ratio_x", ()),
        ("model_name", ()),
    ],
)
def test_a_column_is_known_by_whole_words_of_its_name(column: str, kinds: tuple[str, ...]) -> None:
    """A part of a word says nothing."""
    assert kinds_of_name(column) == kinds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ada@example.org", "a**@*******.***"),
        ("card 4111 1111 1111 1111, ok", "card 4*** **** **** ****, ok"),
        ("a@b.c and d@e.f", "a@*.* and d@*.*"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_a_mask_keeps_the_first_character_and_the_form(text: str, shown: str) -> None:
    """Enough to recognise what it was, too little to use it."""
    assert masked(text) == shown


@pytest.mark.parametrize(
    ("found", "allowed", "rows", "expected"),
    [
        pytest.param((), {}, 10, PASS, id="nothing found"),
        pytest.param((), {}, 0, INCONCLUSIVE, id="no rows"),
        pytest.param(None, {}, 10, INCONCLUSIVE, id="never looked"),
        pytest.param((MAIL,), {}, 10, FAIL, id="found"),
        pytest.param((MAIL,), {"contact": ("email",)}, 10, PASS, id="declared"),
        pytest.param((MAIL,), {"contact": ("phone",)}, 10, FAIL, id="declared as another kind"),
        pytest.param((MAIL,), {"other": ("email",)}, 10, FAIL, id="declared for another column"),
    ],
)
def test_every_kind_in_a_column_needs_its_declaration(
    found: tuple[PersonalColumn, ...] | None,
    allowed: dict[str, tuple[str, ...]],
    rows: int,
    expected: Outcome,
) -> None:
    """One kind in one column."""
    policy = PersonalDataPolicy(allowed=allowed)
    assert [f.outcome for f in judge_privacy("m", found, policy, rows=rows)] == [expected]


def test_an_unknown_kind_cannot_be_declared() -> None:
    """The error lists the known ones."""
    with pytest.raises(ValidationError, match="expected kinds of"):
        PersonalDataPolicy(allowed={"contact": ("mail",)})
