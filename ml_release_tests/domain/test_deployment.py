"""Declared state: what a valid one is, and its file."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ml_release.domain.deployment import (
    DeclaredState,
    Environment,
    Evidence,
    KillSwitch,
    Shadow,
    Variant,
    from_yaml,
    path_of,
    to_yaml,
)
from ml_release.domain.experiment import Arm, Experiment
from ml_release.errors import DeclarationError

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
EVIDENCE = Evidence(verdict_digest="v", policy_digest="p", feature_version="f")


def variant(version: int = 1, *, role: str = "champion", weight_percent: float = 100.0) -> Variant:
    return Variant.model_validate(
        {
            "role": role,
            "version": version,
            "model_digest": f"sha256:{version:064d}",
            "weight_percent": weight_percent,
        }
    )


def state(*variants: Variant, **fields: Any) -> DeclaredState:
    values = {
        "line": "flight_delay",
        "environment": "production",
        "release": "r1",
        "variants": variants or (variant(),),
        "evidence": EVIDENCE,
        **fields,
    }
    return DeclaredState.model_validate(values)


def shadow(version: int, sample_percent: float = 10.0) -> Shadow:
    return Shadow(version=version, model_digest="s", sample_percent=sample_percent)


def an_experiment(*versions: int) -> Experiment | None:
    """Over these versions in equal parts; None for fewer than two."""
    if len(versions) < 2:
        return None
    arms = tuple(Arm(version=v, weight_percent=100 / len(versions)) for v in versions)
    return Experiment(name="e", salt="s", share_percent=50.0, arms=arms)


@st.composite
def some_states(draw: st.DrawFn) -> DeclaredState:
    canary_percent = draw(st.floats(0, 100))
    variants = [variant(draw(st.integers(1, 9)), weight_percent=100 - canary_percent)]
    if canary_percent:
        role = draw(st.sampled_from(["canary", "treatment"]))
        variants.append(variant(draw(st.integers(1, 9)), role=role, weight_percent=canary_percent))
    return state(
        *variants,
        line=draw(st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)),
        environment=draw(st.sampled_from(get_args(Environment))),
        release=draw(TEXT),
        evidence=Evidence(
            verdict_digest=draw(TEXT), policy_digest=draw(TEXT), feature_version=draw(TEXT)
        ),
        rollback_target=draw(st.none() | st.just(variant(10))),
        withdrawn=tuple(draw(st.lists(st.integers(11, 20)))),
        shadows=draw(st.sampled_from([(), (shadow(21),), (shadow(21), shadow(22))])),
        experiment=draw(st.sampled_from([None, an_experiment(*{v.version for v in variants})])),
        kill_switch=draw(
            st.none() | st.builds(KillSwitch, answer=st.floats(-9, 9), engaged=st.booleans())
        ),
        threshold=draw(st.none() | st.floats(0.01, 0.99)),
    )


@given(some_states())
def test_a_declared_state_reads_back_from_its_file(declared: DeclaredState) -> None:
    """Whatever was declared is what the server gets, whatever words it holds."""
    assert from_yaml(to_yaml(declared), subject="file") == declared


def test_the_file_is_a_config_map_with_the_state_as_a_block() -> None:
    """A diff shows the line that changed, and kubectl can apply the file."""
    text = to_yaml(state())
    document = yaml.safe_load(text)
    assert (document["apiVersion"], document["kind"]) == ("v1", "ConfigMap")
    assert document["metadata"]["name"] == "flight-delay-model-config"
    assert document["metadata"]["labels"]["ml-release/line"] == "flight_delay"
    assert "\n    release: r1\n" in text


@pytest.mark.parametrize(
    ("variants", "problem"),
    [
        pytest.param((), "expected exactly one champion, found 0", id="nothing"),
        pytest.param(
            (variant(role="canary"),), "expected exactly one champion, found 0", id="no champion"
        ),
        pytest.param(
            (variant(weight_percent=50.0), variant(2, weight_percent=50.0)),
            "found 2",
            id="two champions",
        ),
        pytest.param((variant(weight_percent=99.0),), "found 99", id="too little traffic"),
        pytest.param(
            (variant(), variant(2, role="canary", weight_percent=0.01)),
            "expected weights that add to 100 percent, found 100.01",
            id="too much traffic",
        ),
        pytest.param(
            (variant(7),),
            r"expected no withdrawn version among the variants, found \[7\]",
            id="a withdrawn version",
        ),
    ],
)
def test_a_state_that_cannot_be_served_is_refused(
    variants: tuple[Variant, ...], problem: str
) -> None:
    """Every request has exactly one variant to go to, and none that was withdrawn."""
    base = state().model_dump()
    base |= {"variants": tuple(v.model_dump() for v in variants), "withdrawn": (7,)}
    with pytest.raises(ValidationError, match=problem):
        DeclaredState.model_validate(base)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"shadows": (shadow(7),)}, "withdrawn version among the shadows", id="shadow"),
        pytest.param({"shadows": (shadow(1),)}, r"answers already: \[1\]", id="a variant"),
        pytest.param({"shadows": (shadow(3), shadow(3))}, "every shadow once", id="twice"),
        pytest.param(
            {"experiment": an_experiment(1, 9)}, r"found also \[9\]", id="an arm without variant"
        ),
        pytest.param({"threshold": 1.0}, "less than 1", id="threshold"),
    ],
)
def test_what_stands_beside_the_variants_fits_them(fields: dict[str, Any], problem: str) -> None:
    """Nothing withdrawn is asked even in secret, and nothing answers twice."""
    with pytest.raises(ValidationError, match=problem):
        state(variant(), variant(2, role="treatment", weight_percent=0.0), withdrawn=(7,), **fields)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        pytest.param({"share_percent": 0.0}, "greater than 0", id="nobody"),
        pytest.param({"arms": (Arm(version=1, weight_percent=100),)}, "at least 2", id="one arm"),
        pytest.param(
            {"arms": (Arm(version=1, weight_percent=50), Arm(version=1, weight_percent=50))},
            "every version in one arm",
            id="one version twice",
        ),
        pytest.param(
            {"arms": (Arm(version=1, weight_percent=50), Arm(version=2, weight_percent=40))},
            "found 90",
            id="too little",
        ),
        pytest.param({"floor_percent": 60.0}, "floor of at most 50", id="floor"),
        pytest.param({"salt": ""}, "at least 1", id="no salt"),
        pytest.param({"name": "a b"}, "pattern", id="name"),
    ],
)
def test_an_experiment_that_is_no_split_is_refused(change: dict[str, Any], problem: str) -> None:
    """Every unit that takes part meets exactly one arm."""
    base = {
        "name": "e",
        "salt": "s",
        "share_percent": 10.0,
        "arms": (Arm(version=1, weight_percent=50), Arm(version=2, weight_percent=50)),
    }
    with pytest.raises(ValidationError, match=problem):
        Experiment.model_validate(base | change)


def test_what_is_not_in_use_is_not_in_the_file() -> None:
    """A reviewer reads what is declared, not what could be."""
    text = to_yaml(state())
    for name in ("shadows", "experiment", "kill_switch", "threshold"):
        assert name not in text


def test_weights_may_differ_from_100_by_rounding_only() -> None:
    """Thirds add to 100 in a float, more or less."""
    third = 100 / 3
    roles = ("champion", "canary", "treatment")
    variants = [variant(n, role=role, weight_percent=third) for n, role in enumerate(roles, 1)]
    assert state(*variants).champion == variants[0]


def test_all_problems_of_a_state_are_reported_together() -> None:
    """Whoever edits the file mends it once."""
    with pytest.raises(ValidationError) as refused:
        state(variant(2, role="canary", weight_percent=10.0), line="Flight-Delay", withdrawn=(2,))
    for problem in ("release line 'Flight-Delay'", "found 0", "found 10", "found [2]"):
        assert problem in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"weight_percent": float("nan")}, id="NaN weight"),
        pytest.param({"weight_percent": -1.0}, id="negative weight"),
        pytest.param({"weight_percent": 100.1}, id="more than all"),
        pytest.param({"weight_percent": "100"}, id="a weight as text"),
        pytest.param({"version": 0}, id="version 0"),
        pytest.param({"version": 1.5}, id="half a version"),
        pytest.param({"role": "challenger"}, id="an unknown role"),
        pytest.param({"weight": 100.0}, id="an unknown key"),
    ],
)
def test_a_variant_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    """Nothing is guessed from what was written."""
    with pytest.raises(ValidationError):
        Variant.model_validate(variant().model_dump() | change)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("just words", id="words"),
        pytest.param("- a\n- b\n", id="a list"),
        pytest.param("data: {}", id="no state"),
        pytest.param("data: {declared-state.yaml: 5}", id="a number for a state"),
        pytest.param("data: {declared-state.yaml: null}", id="nothing for a state"),
        pytest.param("data: {declared-state.yaml: 'release: 2013-01-01'}", id="a date"),
        pytest.param("data: {declared-state.yaml: '&a [*a]'}", id="a document within itself"),
    ],
)
def test_what_is_no_declared_state_is_refused(text: str) -> None:
    """Whatever somebody wrote into the file, the answer names the file."""
    with pytest.raises(DeclarationError, match="some/file"):
        from_yaml(text, subject="some/file")


def test_reading_reports_every_problem_with_its_place() -> None:
    """Text is not a weight and a word is not a version, however YAML spells them."""
    text = to_yaml(state()).replace("version: 1", "version: one")
    text = text.replace("weight_percent: 100.0", "weight_percent: .nan")
    text = text.replace("release: r1", "releese: r1")
    with pytest.raises(DeclarationError) as refused:
        from_yaml(text, subject="some/file")
    for place in ("variants.0.version", "variants.0.weight_percent", "releese", "release"):
        assert f"  - {place}:" in str(refused.value)


def test_the_path_names_line_and_environment() -> None:
    """The layout is a contract with Argo CD and kustomize."""
    expected = "applications/flight_delay/overlays/staging/model-config.yaml"
    assert path_of("flight_delay", "staging") == expected
    with pytest.raises(DeclarationError):
        path_of("../flight_delay", "staging")
