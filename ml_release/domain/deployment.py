"""Declared state: what one line should serve in one environment, as written to Git.

The file is a Kubernetes ConfigMap, so that the same document drives the local endpoint server and
a cluster. Nothing is read or written here; text in, frozen data out, and back.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from ml_release.domain.declared_rollout import Evidence as Evidence  # noqa: PLC0414 (passed on)
from ml_release.domain.declared_rollout import Rollout
from ml_release.domain.experiment import Experiment, Percent
from ml_release.domain.identity import canonical_json, check_line_name
from ml_release.domain.yaml_text import read_yaml
from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Mapping

Environment = Literal["staging", "production"]
SEAL = "ml-release/seal"
"""Annotation of the ConfigMap that holds the seal on the declared state."""
_DATA_KEY = "declared-state.yaml"
_KNOWN_FILES = 4096
# What a key has sealed as a declared state is never a signature of it on anything else.
_SEALED_AS = b"ml-release/declared-state/v1\n"


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Variant(_Declared):
    """One model version behind the endpoint with its share of traffic."""

    role: Literal["champion", "canary", "treatment"]
    version: Annotated[int, Field(ge=1)]
    model_digest: str
    weight_percent: Percent


class Shadow(_Declared):
    """A version that is asked beside the answering one and whose answers are only logged.

    Attributes
    ----------
    sample_percent
        Of the requests, that it is asked as well.
    """

    version: Annotated[int, Field(ge=1)]
    model_digest: str
    sample_percent: Annotated[float, Field(gt=0, le=100)]


class KillSwitch(_Declared):
    """What is answered when no model is to answer.

    Attributes
    ----------
    engaged
        Whether every request gets ``answer`` now.
    answer
        For every row: a probability, or a value in the unit of the target.
    """

    answer: FiniteFloat
    engaged: bool = False


class DeclaredState(_Declared):
    """Everything the endpoint server needs to know to answer for one line.

    Attributes
    ----------
    release
        Names the attempt that led to this state.
    rollback_target
        The version that is kept warm, None where there is none yet.
    withdrawn
        Versions no automation may declare again until a named person lifts them.
    lifted
        Versions that were withdrawn and lifted, each as often as it was lifted: so it is known of
        any two states which one knows more, see `ml_release.domain.withdrawals`.
    shadows
        Versions that are asked in secret.
    experiment
        None where there is none.
    kill_switch
        None where no answer without a model is declared.
    threshold
        From this probability on the decision is yes; None where no decision is given.
    rollout
        The release under way; None where there is none.
    """

    line: str
    environment: Environment
    release: str
    variants: tuple[Variant, ...]
    evidence: Evidence
    rollback_target: Variant | None = None
    withdrawn: tuple[int, ...] = ()
    lifted: tuple[int, ...] = ()
    shadows: tuple[Shadow, ...] = ()
    experiment: Experiment | None = None
    kill_switch: KillSwitch | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    rollout: Rollout | None = None

    @model_validator(mode="after")
    def _serves_all_traffic_once(self) -> Self:
        problems = []
        try:
            check_line_name(self.line)
        except DeclarationError as error:
            problems.append(str(error))
        champions = [variant for variant in self.variants if variant.role == "champion"]
        if len(champions) != 1:
            problems.append(f"expected exactly one champion, found {len(champions)}")
        total = sum(variant.weight_percent for variant in self.variants)
        if abs(total - 100) > 1e-9:  # noqa: PLR2004 (percent)
            problems.append(f"expected weights that add to 100 percent, found {total:g}")
        answering = {variant.version for variant in self.variants}
        if bad := sorted(answering & set(self.withdrawn)):
            problems.append(f"expected no withdrawn version among the variants, found {bad}")
        problems += self._shadow_problems(answering)
        if self.experiment is not None and (bad := sorted(self.experiment.versions - answering)):
            problems.append(f"expected arms that are declared variants, found also {bad}")
        if self.rollout is not None:
            problems += self._rollout_problems(self.rollout)
        if problems:
            message = "; ".join(problems)
            raise ValueError(message)
        return self

    def _shadow_problems(self, answering: set[int]) -> list[str]:
        problems = []
        shadows = [shadow.version for shadow in self.shadows]
        if bad := sorted(set(shadows) & set(self.withdrawn)):
            problems.append(f"expected no withdrawn version among the shadows, found {bad}")
        if len(set(shadows)) != len(shadows):
            problems.append(f"expected every shadow once, found {shadows}")
        if bad := sorted(answering & set(shadows)):
            problems.append(f"expected no variant among the shadows, it answers already: {bad}")
        return problems

    def _rollout_problems(self, rollout: Rollout) -> list[str]:
        role = {"shadow": None, "canary": "canary", "watch": "champion"}[rollout.leg]
        places: list[Variant | Shadow] = [v for v in self.variants if v.role == role]
        places += self.shadows if role is None else ()
        if any(
            p.version == rollout.version and p.model_digest == rollout.model_digest for p in places
        ):
            return []
        where = "among the shadows" if role is None else f"as {role}"
        return [
            f"expected version {rollout.version}, which is being released, {where}, found it"
            " elsewhere or with another digest"
        ]

    @property
    def champion(self) -> Variant:
        """The variant that answers by default."""
        return next(variant for variant in self.variants if variant.role == "champion")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A declared state with the commit that declared it and why.

    Attributes
    ----------
    state
        What the file says; where it cannot be read or was removed, what it said before. What
        sealed declarations before it have withdrawn is withdrawn here too.
    seal_problem
        Why nobody may act on it; "" if a trusted key has sealed exactly this state, and it serves
        no version that another sealed one has withdrawn. Commit, actor and reason are not sealed.
    revert_of
        Commit of the earlier declaration whose file this one repeats byte for byte, as
        ``git revert`` does; "" for any other.
    forgotten
        Versions that the file does not say were withdrawn, or lifted, although sealed ones before
        it did. It holds all the same, as ``state`` says.
    trailers
        All that its commit says of it, as ``Approved-By``; not sealed either.
    """

    state: DeclaredState
    commit: str
    committed_at: str
    actor: str
    reason: str
    seal_problem: str
    revert_of: str = ""
    forgotten: tuple[int, ...] = ()
    trailers: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedState:
    """A file of declared state as it was read.

    Attributes
    ----------
    content
        The bytes that a seal on it is over.
    seal
        As it stands in the file; "" if there is none.
    """

    state: DeclaredState
    content: bytes
    seal: str


def several_class_problems(classes: tuple[str, ...], state: DeclaredState) -> list[str]:
    """What of a declared state cannot hold where answers are probabilities of several classes.

    Parameters
    ----------
    classes
        Of the champion; empty for other kinds of answers.
    """
    if not classes:
        return []
    answers = f"a line that answers the probabilities of {len(classes)} classes"
    problems = []
    if state.threshold is not None:
        problems.append(
            f"threshold: expected none for {answers}, found {state.threshold:g}; no decision is"
            " given"
        )
    if state.kill_switch is not None:
        problems.append(
            f"kill_switch: expected none for {answers}, found the one number"
            f" {state.kill_switch.answer:g}; while it is engaged every request is refused"
        )
    return problems


def path_of(line: str, environment: str) -> str:
    """Path of the declared state inside the deployments repository."""
    return f"applications/{check_line_name(line)}/overlays/{environment}/model-config.yaml"


def to_yaml(state: DeclaredState, *, seal: str = "") -> str:
    """The ConfigMap document of a declared state, with its seal if there is one."""
    name = state.line.replace("_", "-")
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{name}-model-config",
            "labels": {"ml-release/line": state.line, "ml-release/environment": state.environment},
            **({"annotations": {SEAL: seal}} if seal else {}),
        },
        "data": {_DATA_KEY: _inner(state)},
    }
    return yaml.dump(document, Dumper=_BlockDumper, sort_keys=False, width=100)


def content_to_seal(state: DeclaredState) -> bytes:
    """The bytes that a seal on a state is over: canonical JSON of what its file declares."""
    return _content(yaml.safe_load(_inner(state)))


def _content(declared: object) -> bytes:
    # Of the file's own words, not of what this release makes of them: a field that a later one
    # adds with a default leaves older seals good.
    return _SEALED_AS + canonical_json(declared)


def _inner(state: DeclaredState) -> str:
    declared = state.model_dump(mode="json")
    # What is not in use is left out, so that a reviewer reads what is.
    for held in (declared, declared["rollout"]):
        if held is not None:
            known = {name: value for name, value in held["evidence"].items() if value is not None}
            held["evidence"] = known
    for name in ("lifted", "shadows", "experiment", "kill_switch", "threshold", "rollout"):
        if not declared[name]:
            del declared[name]
    return yaml.safe_dump(declared, sort_keys=False, width=100)


class _BlockDumper(yaml.SafeDumper):
    """Writes the inner document as a block, so that a diff shows the line that changed."""


def _as_block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_BlockDumper.add_representer(str, _as_block)


def from_yaml(text: str, *, subject: str) -> DeclaredState:
    """Read a declared state; raises as `sealed_from_yaml`."""
    return sealed_from_yaml(text, subject=subject).state


@lru_cache(maxsize=_KNOWN_FILES)
def _sealed(text: str) -> SealedState:
    # What was declared once never changes, and histories are read again and again.
    document: Any = read_yaml(text)
    inner: Any = read_yaml(document["data"][_DATA_KEY])
    # YAML knows neither tuples nor strictness: JSON mode takes its lists and keeps the rest.
    state = DeclaredState.model_validate_json(json.dumps(inner))
    seal = (document["metadata"].get("annotations") or {}).get(SEAL, "")
    return SealedState(state=state, content=_content(inner), seal=str(seal))


def sealed_from_yaml(text: str, *, subject: str) -> SealedState:
    """Read a declared state with its seal, which is not judged here.

    Raises
    ------
    DeclarationError
        If the document is not a ConfigMap with a valid declared state, listing every problem;
        ``subject`` says which file is meant.
    """
    try:
        return _sealed(text)
    except ValidationError as error:
        rows = "\n".join(
            f"  - {'.'.join(str(part) for part in problem['loc']) or 'declared state'}:"
            f" {problem['msg']}"
            for problem in error.errors()
        )
        message = f"{subject}: the declared state is not valid.\n{rows}"
        raise DeclarationError(message) from error
    # Brackets in thousands end the parser, and must end nothing else.
    except (
        yaml.YAMLError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        RecursionError,
    ) as error:
        message = (
            f"{subject}: expected a ConfigMap with data.{_DATA_KEY}, found something else ({error})"
        )
        raise DeclarationError(message) from error
