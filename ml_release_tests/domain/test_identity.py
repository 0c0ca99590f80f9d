"""Digests, canonical JSON and line names."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.identity import (
    canonical_json,
    check_digest,
    check_line_name,
    digest_hex,
    digest_of_bytes,
    digest_of_json,
)
from ml_release.errors import DeclarationError, IntegrityError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@given(st.binary())
def test_a_digest_is_sha256_of_the_bytes(content: bytes) -> None:
    """The digest is the plain SHA-256 that any other tool computes."""
    assert digest_of_bytes(content) == "sha256:" + hashlib.sha256(content).hexdigest()


@given(JSON)
def test_canonical_json_reads_back_as_the_same_document(document: object) -> None:
    """The canonical form loses nothing."""
    assert json.loads(canonical_json(document)) == document


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(), min_size=2))
def test_the_digest_of_json_does_not_depend_on_the_order_of_keys(document: dict[str, int]) -> None:
    """Two writers that insert keys in another order get the same digest."""
    turned = dict(reversed(document.items()))
    assert digest_of_json(turned) == digest_of_json(document)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_canonical_json_refuses_numbers_that_json_does_not_have(value: float) -> None:
    """NaN and infinity have no spelling in JSON that every reader knows."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": [value]})


def test_digests_differ_between_documents_that_differ() -> None:
    """A number and its text, a list and its only item, are different documents."""
    documents = [1, "1", [1], {"1": 1}, None, True, "", []]
    assert len({digest_of_json(document) for document in documents}) == len(documents)


def test_check_digest_names_the_subject_and_both_digests() -> None:
    """Whoever reads the message can see what was changed."""
    with pytest.raises(IntegrityError, match=r"model\.onnx: expected digest a, found b"):
        check_digest("model.onnx", expected="a", found="b")
    check_digest("model.onnx", expected="a", found="a")


def test_digest_hex_gives_the_hexadecimal_part() -> None:
    """It becomes a file name."""
    assert digest_hex("sha256:" + "0a" * 32) == "0a" * 32


@pytest.mark.parametrize(
    "digest",
    [
        pytest.param("", id="empty"),
        pytest.param("0a" * 32, id="without algorithm"),
        pytest.param("sha256:" + "0a" * 31, id="too short"),
        pytest.param("sha256:" + "0a" * 33, id="too long"),
        pytest.param("sha256:" + "0A" * 32, id="upper case"),
        pytest.param("sha256:../../" + "a" * 58, id="path"),
        pytest.param("sha256:" + "0a" * 32 + "\n", id="line break"),
    ],
)
def test_digest_hex_refuses_what_is_no_digest(digest: str) -> None:
    """A digest that somebody edited never becomes part of a path."""
    with pytest.raises(IntegrityError, match="expected sha256: and 64 hexadecimal digits"):
        digest_hex(digest)


@pytest.mark.parametrize("name", ["a", "flight_delay", "a1", "a" * 63])
def test_a_line_name_may_have_lower_case_letters_digits_and_underscores(name: str) -> None:
    """The name is returned, so that it can be used where it is checked."""
    assert check_line_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "1a", "_a", "a-b", "a b", "a/b", "..", "a\n", "a" * 64, "é"]
)
def test_other_line_names_are_refused(name: str) -> None:
    """A name becomes part of paths, asset keys and URLs."""
    with pytest.raises(DeclarationError, match="release line"):
        check_line_name(name)
