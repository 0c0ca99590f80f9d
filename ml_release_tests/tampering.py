"""What somebody with access to a models folder could do there, done in tests."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_release.adapters.model_files import MANIFEST, SIGNATURE
from ml_release.adapters.model_signatures import ModelSignatures
from ml_release.adapters.signing_keys import SigningKeys
from ml_release.domain.identity import canonical_json, digest_hex, digest_of_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Harm = tuple["Callable[[Path], object]", str]


class _Marks:
    """Unpickled, it makes a folder."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._marker),)


def harmful_pickle(marker: Path, *, protocol: int = 4) -> bytes:
    """A pickle that leaves a marker when it is read."""
    return pickle.dumps(_Marks(marker), protocol=protocol)


def flip(path: Path, at: int = -1) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def sign_again(folder: Path, keys: Path) -> None:
    """Replace the signature by that of another key."""
    signed = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != SIGNATURE}
    (folder / SIGNATURE).write_bytes(
        ModelSignatures(SigningKeys(keys)).sign(signed, name=folder.name)
    )


def forge(root: Path, files: Mapping[str, bytes], signatures: ModelSignatures) -> str:
    """Put any files into a models folder, manifest and signature in order; the model digest."""
    manifest = canonical_json(
        {"format": 1, "files": {n: digest_of_bytes(c) for n, c in files.items()}}
    )
    digest = digest_of_bytes(manifest)
    folder = root / digest_hex(digest)
    folder.mkdir(parents=True)
    signed = {**files, MANIFEST: manifest}
    signature = signatures.sign(signed, name=folder.name)
    for name, content in {**signed, SIGNATURE: signature}.items():
        (folder / name).write_bytes(content)
    return digest


def harms(names: Sequence[str], *, of_another: Path) -> dict[str, Harm]:
    """Harm to an artefact's folder, by name, each with what a refusal has to say.

    ``of_another`` is a folder for the key of somebody else.
    """
    return {
        **{f"one byte of {name}": (_flipped(name), f"{name} of model") for name in names},
        "one byte of the manifest": (_flipped(MANIFEST), "manifest of model"),
        "one byte of the signature": (_flipped(SIGNATURE), SIGNATURE),
        "no signature": (lambda folder: (folder / SIGNATURE).unlink(), "train again"),
        "an empty signature": (
            lambda folder: (folder / SIGNATURE).write_bytes(b""),
            "no signature",
        ),
        "another's signature": (lambda f: sign_again(f, of_another), "of a trusted key"),
        "a file too many": (
            lambda folder: (folder / "extra.json").write_bytes(b"{}"),
            "no file besides those of the manifest",
        ),
        "a file too few": (lambda folder: (folder / names[0]).unlink(), "which is missing"),
    }


def _flipped(name: str) -> Callable[[Path], None]:
    return lambda folder: flip(folder / name)


def causes(names: Sequence[str]) -> list[str]:
    """The names of all harms."""
    return list(harms(names, of_another=Path()))
