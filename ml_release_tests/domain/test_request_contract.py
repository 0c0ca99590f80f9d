"""What clients rely on; and that a contract that is kept is one that the server keeps too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.artefact import InputField, Signature
from ml_release.domain.features import Category, FeaturePlan, Number
from ml_release.domain.request_contract import (
    ContractPolicy,
    RequestContract,
    contract_of,
    judge_contract,
)
from ml_release.domain.verdict import Outcome, worst
from ml_release.errors import InputError
from ml_release.serving.protocols import decode_invocations

POLICY = ContractPolicy()


def field(name: str, type_: Any = "number", *, nullable: bool = True, **more: Any) -> InputField:
    return InputField(name=name, type=type_, nullable=nullable, **more)


def contract(*inputs: InputField, **changes: Any) -> RequestContract:
    return RequestContract(
        inputs=inputs or (field("distance"), field("carrier", "string")),
        **{
            "output": "p",
            "output_kind": "probability",
            "classes": (),
            "personal": {},
            "words": {},
            **changes,
        },
    )


KEPT = contract(words={"carrier": ("AA", "BB", "CC", "DD")})
THREE = {"output_kind": "probabilities", "classes": ("a", "b", "c")}


def held(kept: RequestContract | None, offered: RequestContract | None) -> list[str]:
    """What does not pass, by subject."""
    findings = judge_contract(kept, offered, POLICY, subject="version 1")
    return [f.subject for f in findings if f.outcome is not Outcome.PASS]


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        pytest.param(KEPT, [], id="the same"),
        pytest.param(
            contract(*KEPT.inputs[::-1], words=KEPT.words), [], id="columns in another order"
        ),
        pytest.param(
            contract(field("distance", description="miles"), field("carrier", "string")),
            [],
            id="words for people",
        ),
        pytest.param(contract(field("distance")), ["carrier"], id="a column less"),
        pytest.param(
            contract(*KEPT.inputs, field("weather")), ["weather"], id="a column more, nullable"
        ),
        pytest.param(
            contract(*KEPT.inputs, field("weather", nullable=False)),
            ["weather"],
            id="a column more",
        ),
        pytest.param(
            contract(field("distance", "string"), KEPT.inputs[1]), ["distance"], id="another type"
        ),
        pytest.param(
            contract(field("distance", nullable=False), KEPT.inputs[1]),
            ["distance"],
            id="null no more",
        ),
        pytest.param(
            contract(field("a"), field("b")),
            ["distance", "carrier", "a", "b"],
            id="all of it",
        ),
        pytest.param(contract(output="q"), ["output"], id="another output"),
        pytest.param(contract(output_kind="value"), ["output kind"], id="another kind"),
        pytest.param(
            contract(personal={"carrier": "hash"}), ["personal columns"], id="newly masked"
        ),
        pytest.param(
            contract(words={"carrier": ("AA", "BB", "CC", "ZZ")}), [], id="a rare word is lost"
        ),
        pytest.param(
            contract(words={"carrier": ("aa", "bb", "cc", "dd")}),
            ["words of carrier"],
            id="another spelling",
        ),
        pytest.param(
            contract(words={"carrier": ("AA", "BB")}), ["words of carrier"], id="half of the words"
        ),
        pytest.param(None, ["version 1"], id="not known"),
    ],
)
def test_a_break_is_named(offered: RequestContract | None, expected: list[str]) -> None:
    """By the column or the part of the answer."""
    assert held(KEPT, offered) == expected


def test_null_that_is_newly_accepted_breaks_nothing() -> None:
    """Whoever never sent it goes on as before."""
    assert held(contract(field("distance", nullable=False)), contract(field("distance"))) == []


@pytest.mark.parametrize(
    ("kept", "offered", "expected"),
    [
        pytest.param(contract(**THREE), contract(**THREE), [], id="the same"),
        pytest.param(
            contract(**THREE),
            contract(**{**THREE, "classes": ("b", "a", "c")}),
            ["classes"],
            id="another order",
        ),
        pytest.param(
            contract(**{**THREE, "classes": None}), contract(**THREE), [], id="not known before"
        ),
    ],
)
def test_classes_are_kept_in_their_order(
    kept: RequestContract, offered: RequestContract, expected: list[str]
) -> None:
    """Answers are numbers by position."""
    assert held(kept, offered) == expected


def test_what_clients_rely_on_has_to_be_known() -> None:
    """Nobody can say that it is kept otherwise."""
    (finding,) = judge_contract(None, KEPT, POLICY, subject="version 1")
    assert finding.outcome is Outcome.INCONCLUSIVE


def test_a_fitted_version_knows_the_words_of_all_features_of_a_column() -> None:
    """Once each."""
    features = (
        Category(name="short", column="carrier", limit=1),
        Category(name="long", column="carrier"),
        Number(name="distance", column="distance"),
    )
    plan = FeaturePlan(features=features, vocabularies={"short": ("AA",), "long": ("AA", "BB")})
    signature = Signature(line="x", inputs=KEPT.inputs, output="p")
    assert contract_of(signature, plan).words == {"carrier": ("AA", "BB")}


def test_the_digest_is_of_what_programs_see() -> None:
    """A description may be put better."""
    assert contract(field("a", description="x")).digest == contract(field("a")).digest
    assert contract(field("a")).digest != contract(field("a", nullable=False)).digest


_FIELDS = st.lists(
    st.builds(
        InputField,
        name=st.sampled_from("abcd"),
        type=st.sampled_from(["number", "string"]),
        nullable=st.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.name,
).map(tuple)


@given(kept=_FIELDS, offered=_FIELDS, data=st.data())
def test_a_server_takes_every_request_of_a_contract_that_is_kept(
    kept: tuple[InputField, ...], offered: tuple[InputField, ...], data: st.DataObject
) -> None:
    """And where it is broken, there is a request that it refuses."""
    values = {"number": st.floats(-1e9, 1e9), "string": st.text("xyz", max_size=3)}
    nothing: dict[str, Any] = {one.name: None for one in kept if one.nullable}
    drawn = {one.name: data.draw(values[one.type]) for one in kept}
    findings = judge_contract(contract(*kept), contract(*offered), POLICY, subject="s")
    requests = (drawn, {**drawn, **nothing})
    taken = [_is_taken(offered, request) for request in requests]
    if worst(finding.outcome for finding in findings) is Outcome.PASS:
        assert taken == [True, True]
    else:
        assert False in taken


def _is_taken(inputs: tuple[InputField, ...], record: dict[str, Any]) -> bool:
    body = json.dumps({"dataframe_records": [record]}).encode()
    try:
        decode_invocations(body, Signature(line="x", inputs=inputs, output="p"))
    except InputError:
        return False
    return True
