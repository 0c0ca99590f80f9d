"""What a signature on a model artefact states, held against the bytes that were read.

The statement is an in-toto Statement v1 with the predicate of OpenSSF Model Signing 1.0: the
SHA-256 of every signed file by name. Whether the signature itself is good is asked elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ml_release.domain.identity import digest_of_bytes
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"


class _Resource(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    algorithm: Literal["sha256"]
    digest: str


class _Predicate(BaseModel):
    model_config = ConfigDict(frozen=True)

    resources: tuple[_Resource, ...] = Field(min_length=1)


class _Statement(BaseModel):
    model_config = ConfigDict(frozen=True)

    statement_type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate


def require_signed(statement: bytes, files: Mapping[str, bytes], *, subject: str) -> None:
    """Compare what was signed with ``files``: these names, these bytes, and no others.

    Raises
    ------
    IntegrityError
        If the statement is none, or a file is not signed, is signed but missing, or has another
        digest than the signed one, naming ``subject`` and the file.
    """
    try:
        resources = _Statement.model_validate_json(statement).predicate.resources
    except ValidationError as error:
        message = (
            f"{subject}: expected a signed statement of OpenSSF Model Signing 1.0, found something"
            f" else ({error}). Train again."
        )
        raise IntegrityError(message) from error
    signed = {found.name: f"sha256:{found.digest}" for found in resources}
    problems = [f"{name} is signed but missing" for name in sorted(set(signed) - set(files))]
    problems += [f"{name} is not signed" for name in sorted(set(files) - set(signed))]
    for name in sorted(set(files) & set(signed)):
        found = digest_of_bytes(files[name])
        if found != signed[name]:
            problems.append(f"{name} has digest {found}, signed was {signed[name]}")
    # One name twice could be signed with two digests.
    if len(signed) != len(resources):
        problems.append("a name is signed twice")
    if problems:
        message = (
            f"{subject}: expected the files as they were signed, found that {'; '.join(problems)}."
            " Restore the folder or train again."
        )
        raise IntegrityError(message)
