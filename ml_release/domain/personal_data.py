r"""Patterns of personal data in texts and column names, and how a hit is masked.

A pattern is deliberately narrow: it has to hold for flight numbers and registrations too. What has
no form of its own (names of people, addresses) is found by the name of the column only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One kind of personal data: its form, and what a match has to stand besides."""

    kind: str
    form: re.Pattern[str]
    stands: Callable[[str], bool] = lambda _: True


def is_luhn(text: str) -> bool:
    """Whether the digits of a text keep the check digit of payment cards (ISO/IEC 7812-1).

    >>> is_luhn("4111 1111 1111 1111"), is_luhn("4111 1111 1111 1112")
    (True, False)
    """
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return bool(digits) and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether a text keeps the check digits of an account number (ISO 13616, modulo 97).

    >>> is_iban("DE89 3704 0044 0532 0130 00"), is_iban("DE88 3704 0044 0532 0130 00")
    (True, False)
    """
    plain = text.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


PATTERNS = (
    Pattern(kind="email", form=re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")),
    Pattern(
        kind="iban",
        form=re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        stands=is_iban,
    ),
    Pattern(
        kind="credit_card",
        form=re.compile(r"(?<![\w.-])(?:[3-6]|2[2-7])[0-9](?:[ -]?[0-9]){11,17}(?![\w-])"),
        stands=is_luhn,
    ),
    Pattern(
        kind="ip_address",
        form=re.compile(
            r"(?<![\w.])(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}"
            r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?![\w.])"
        ),
    ),
    Pattern(
        # No number is issued with the areas 000, 666 and 900 to 999, group 00 or serial 0000.
        kind="us_ssn",
        form=re.compile(
            r"(?<![\w-])(?!000|666|9[0-9]{2})[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![\w-])"
        ),
    ),
    Pattern(
        kind="phone",
        form=re.compile(
            r"(?<![\w+])(?:\+[1-9](?:[ ()./-]?[0-9]){7,14}"
            r"|\([2-9][0-9]{2}\) ?[0-9]{3}-[0-9]{4}|[2-9][0-9]{2}-[0-9]{3}-[0-9]{4})(?![\w-])"
        ),
    ),
)
"""Kinds of values, in the order in which they are looked for."""

NAMES = {
    "email": re.compile(r"e_?mail"),
    "phone": re.compile(r"phone|telephone|mobile_?(?:no|number)|fax"),
    "iban": re.compile(r"iban|bank_?account"),
    "credit_card": re.compile(r"credit_?card|card_?(?:no|number)|pan"),
    "ip_address": re.compile(r"ip|ip_?addr(?:ess)?"),
    "us_ssn": re.compile(r"ssn|social_?security(?:_?(?:no|number))?"),
    "person_name": re.compile(r"(?:first|last|full|family|given|sur|maiden)_?name"),
    "birth_date": re.compile(r"dob|birth_?(?:date|day)|date_?of_?birth"),
    "address": re.compile(r"(?:street|home|postal)_?address|street"),
    "passport": re.compile(r"passport(?:_?(?:no|number))?"),
}
"""Kinds by the name of a column: the form has to fill the name, or its parts between ``_``."""

KINDS = tuple(dict.fromkeys((*(pattern.kind for pattern in PATTERNS), *NAMES)))


def kinds_in(text: str) -> tuple[str, ...]:
    """Kinds of personal data that a text holds.

    >>> kinds_in("write to ada@example.org"), kinds_in("N14228")
    (('email',), ())
    """
    return tuple(
        pattern.kind
        for pattern in PATTERNS
        if any(pattern.stands(match.group()) for match in pattern.form.finditer(text))
    )


def kinds_of_name(column: str) -> tuple[str, ...]:
    """Kinds of personal data that a column's name promises.

    >>> kinds_of_name("customer_email"), kinds_of_name("contactEmail"), kinds_of_name("ship")
    (('email',), ('email',), ())
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column).lower().replace("-", "_")
    return tuple(
        kind
        for kind, form in NAMES.items()
        if re.search(rf"(?:^|_)(?:{form.pattern})(?:_|$)", words)
    )


def masked(text: str) -> str:
    """The text with every piece of personal data masked but for its first character and form.

    >>> masked("ada@example.org flies"), masked("N14228")
    ('a**@*******.*** flies', 'N14228')
    """
    for pattern in PATTERNS:
        pieces, end = [], 0
        for match in pattern.form.finditer(text):
            if pattern.stands(match.group()):
                pieces += [text[end : match.start()], _stars(match.group())]
                end = match.end()
        text = "".join([*pieces, text[end:]])
    return text


def _stars(text: str) -> str:
    return text[:1] + re.sub(r"[^\W_]", "*", text[1:])
