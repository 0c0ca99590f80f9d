"""What clients of a line rely on, and what of it another version would break.

The server takes a request only if it carries exactly the columns of the signature. So a column too
many breaks the contract as one too few does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ml_release.domain.artefact import InputField, OutputKind, Signature
from ml_release.domain.features import Category, FeaturePlan
from ml_release.domain.identity import digest_of_json
from ml_release.domain.masking import Mask
from ml_release.domain.verdict import Finding, Outcome

RULE = "contract_is_kept"
DESCRIPTIONS = {
    RULE: "Every request that the champion accepts is accepted, and answered in the same form.",
}


class ContractPolicy(BaseModel):
    """What of the contract may change.

    Attributes
    ----------
    lost_words_limit_share
        Of the words of a category that the champion knows, from 0 to 1, that the other version may
        not know. It answers them, but as it answers a word nobody ever saw. A rare word drops out
        of a window by chance; another spelling loses all of them at once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lost_words_limit_share: Annotated[float, Field(ge=0, le=1)] = 0.25


class RequestContract(BaseModel):
    """The form of requests and answers.

    Attributes
    ----------
    words
        Request column to the words that a category feature of it was fitted on; empty where
        nothing was fitted yet.
    output, output_kind, classes, personal
        As in `Signature`. ``classes`` is None where they are not known before training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: tuple[InputField, ...]
    output: str
    output_kind: OutputKind
    classes: tuple[str, ...] | None
    personal: Mapping[str, Mask]
    words: Mapping[str, tuple[str, ...]]

    @property
    def digest(self) -> str:
        """Digest of the canonical form, without what only people read."""
        document = self.model_dump(mode="json")
        for one in document["inputs"]:
            del one["description"]
        return digest_of_json(document)


def contract_of(signature: Signature, plan: FeaturePlan) -> RequestContract:
    """The contract of a fitted version."""
    words: dict[str, tuple[str, ...]] = {}
    for feature in plan.features:
        if isinstance(feature, Category):
            both = (*words.get(feature.column, ()), *plan.vocabularies[feature.name])
            words[feature.column] = tuple(dict.fromkeys(both))
    return RequestContract(
        inputs=signature.inputs,
        output=signature.output,
        output_kind=signature.output_kind,
        classes=signature.classes,
        personal=signature.personal,
        words=words,
    )


def judge_contract(
    kept: RequestContract | None,
    offered: RequestContract | None,
    policy: ContractPolicy,
    *,
    subject: str,
) -> tuple[Finding, ...]:
    """One failing finding per break, or one that passes.

    Parameters
    ----------
    kept
        What clients rely on; None if it is not known.
    offered
        Of the version that is judged; None if it is not known.
    subject
        Whose contract ``kept`` is.
    """
    if kept is None or offered is None:
        unknown = "the contract that is to be kept" if kept is None else "its own contract"
        return (
            Finding(
                rule=RULE,
                subject=subject,
                outcome=Outcome.INCONCLUSIVE,
                detail=f"{unknown} could not be read",
            ),
        )
    breaks = [
        Finding(rule=RULE, subject=name, outcome=Outcome.FAIL, detail=detail)
        for name, detail in (*_of_inputs(kept, offered), *_of_answers(kept, offered))
    ]
    breaks += _of_words(kept, offered, policy)
    if breaks:
        return tuple(breaks)
    return (Finding(rule=RULE, subject=subject, outcome=Outcome.PASS, n=len(kept.inputs)),)


def _of_inputs(kept: RequestContract, offered: RequestContract) -> list[tuple[str, str]]:
    known = {field.name: field for field in kept.inputs}
    found = {field.name: field for field in offered.inputs}
    breaks = []
    for name, field in known.items():
        other = found.get(name)
        if other is None:
            breaks.append((name, "clients send this column, and it would be refused as unknown"))
            continue
        if other.type != field.type:
            breaks.append((name, f"expected a {field.type}, found a {other.type}"))
        if field.nullable and not other.nullable:
            breaks.append((name, "expected that null is accepted, found that it is refused"))
    breaks += [
        (name, "clients do not send this column, and it would be required")
        for name in found
        if name not in known
    ]
    return breaks


def _of_answers(kept: RequestContract, offered: RequestContract) -> list[tuple[str, str]]:
    breaks: list[tuple[str, str]] = []
    if offered.output != kept.output:
        breaks.append(("output", f"expected the name {kept.output!r}, found {offered.output!r}"))
    if offered.output_kind != kept.output_kind:
        breaks.append(
            ("output kind", f"expected a {kept.output_kind}, found a {offered.output_kind}")
        )
    elif None not in {kept.classes, offered.classes} and kept.classes != offered.classes:
        expected, found = list(kept.classes or ()), list(offered.classes or ())
        breaks.append(("classes", f"expected {expected} in this order, found {found}"))
    if dict(offered.personal) != dict(kept.personal):
        breaks.append(
            (
                "personal columns",
                f"expected to be masked in the log {_masks(kept)}, found {_masks(offered)}",
            )
        )
    return breaks


def _of_words(
    kept: RequestContract, offered: RequestContract, policy: ContractPolicy
) -> list[Finding]:
    breaks = []
    for column, words in kept.words.items():
        known = offered.words.get(column)
        if known is None or not words:
            # A column that is not there any more is a break of its own.
            continue
        lost = sorted(set(words) - set(known))
        share = len(lost) / len(words)
        if share > policy.lost_words_limit_share:
            breaks.append(
                Finding(
                    rule=RULE,
                    subject=f"words of {column}",
                    outcome=Outcome.FAIL,
                    observed=share,
                    limit=policy.lost_words_limit_share,
                    unit="share of the known words",
                    n=len(words),
                    detail=f"not known any more: {lost[:5]}",
                )
            )
    return breaks


def _masks(contract: RequestContract) -> dict[str, str]:
    return {name: str(mask) for name, mask in sorted(contract.personal.items())}
