"""What was signed, held against what was read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ml_release.domain.identity import digest_of_bytes
from ml_release.domain.signed_statement import PREDICATE_TYPE, STATEMENT_TYPE, require_signed
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {"manifest.json": b"{}", "model.onnx": b"\x08"}


def statement() -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": "x", "digest": {"sha256": "0"}}],
        "predicate": {
            "serialization": {"method": "files"},
            "resources": [
                {"name": n, "algorithm": "sha256", "digest": digest_of_bytes(c).split(":")[1]}
                for n, c in FILES.items()
            ],
        },
    }


def check(document: object) -> None:
    require_signed(json.dumps(document).encode(), FILES, subject="model x")


def test_the_files_that_were_signed_are_let_through() -> None:
    """Names and digests are the same."""
    check(statement())


def resources(change: Callable[[list[Any]], object]) -> Callable[[dict[str, Any]], object]:
    return lambda document: change(document["predicate"]["resources"])


CASES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "another digest": (
        resources(lambda r: r[0].update(digest="0" * 64)),
        "manifest.json has digest sha256:44136fa355b3",
    ),
    "a digest in capitals": (
        resources(lambda r: r[0].update(digest=r[0]["digest"].upper())),
        "manifest.json has digest",
    ),
    "a file that is not there": (
        resources(lambda r: r.append({**r[0], "name": "more.json"})),
        "more.json is signed but missing",
    ),
    "a file that is not signed": (resources(lambda r: r.pop()), "model.onnx is not signed"),
    "one name twice": (resources(lambda r: r.insert(0, {**r[0], "digest": "0"})), "signed twice"),
    "nothing signed": (resources(lambda r: r.clear()), "expected a signed statement"),
    "another algorithm": (
        resources(lambda r: r[0].update(algorithm="blake2")),
        "expected a signed statement",
    ),
    "another statement": (lambda d: d.update(_type="x"), "expected a signed statement"),
    "the predicate of before 1.0": (
        lambda d: d.update(predicateType="https://model_signing/Digests/v0.1"),
        "expected a signed statement",
    ),
    "no predicate": (lambda d: d.pop("predicate"), "expected a signed statement"),
}


@pytest.mark.parametrize(
    ("harm", "message"), [pytest.param(*case, id=name) for name, case in CASES.items()]
)
def test_what_was_not_signed_so_is_refused(
    harm: Callable[[dict[str, Any]], object], message: str
) -> None:
    """The message names the artefact and the file."""
    document = statement()
    harm(document)
    with pytest.raises(IntegrityError, match=r"^model x: ") as refusal:
        check(document)
    assert message in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff", b'"x"'])
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    """As such, and not with an error of the parser."""
    with pytest.raises(IntegrityError, match="expected a signed statement"):
        require_signed(content, FILES, subject="model x")
