"""Which code on which interpreter and packages made something, and what differs from it now."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

NAMED_FILES = 3
"""Changed source files that a difference names; of more than these it gives the number."""


class BuildRecord(BaseModel):
    """Code and environment of a running process.

    Attributes
    ----------
    code_commit
        Git commit of the checkout the package runs from, None outside of one.
    code_dirty
        Whether the package's sources differ from those of that commit, None outside of a checkout.
    code_digest
        Digest of ``code_files``: it names the code without Git too.
    code_files
        Path, from the folder the package is in, to the digest of every source file: those of the
        package and of the modules that declare the line.
    lock_digest
        Digest of the ``requirements.lock`` beside the package, None if there is none.
    python, implementation
        As ``3.11.7`` and ``CPython``.
    platform
        Operating system and its C library, as ``Linux glibc2.36``; not the release of the kernel,
        which computes no numbers.
    machine
        As ``x86_64``.
    packages
        Name of every installed distribution, in its normal form, to its version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code_commit: str | None
    code_dirty: bool | None
    code_digest: str
    code_files: Mapping[str, str] = Field(default_factory=dict)
    lock_digest: str | None
    python: str
    implementation: str
    platform: str
    machine: str
    packages: Mapping[str, str]


class Difference(BaseModel):
    """One thing that is not as it was recorded.

    Attributes
    ----------
    name
        A field of `BuildRecord` in words, or ``package`` with the name of one.
    recorded, found
        None where there is or was none.
    detail
        Which source files are others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    recorded: str | None
    found: str | None
    detail: str = ""

    def sentence(self) -> str:
        """In words.

        >>> Difference(name="package numpy", recorded="2.4.6", found="2.5.0").sentence()
        'package numpy: recorded 2.4.6, found 2.5.0'
        >>> Difference(name="package shap", recorded=None, found="0.51").sentence()
        'package shap: recorded none, found 0.51'
        """
        told = f"{self.name}: recorded {_short(self.recorded)}, found {_short(self.found)}"
        return f"{told} ({self.detail})" if self.detail else told


def differences(recorded: BuildRecord, running: BuildRecord) -> tuple[Difference, ...]:
    """Everything that differs, packages one by one: code first, then lock, interpreter, packages.

    Of two builds outside of any checkout neither is known to be of another commit: the digest of
    the code decides.
    """
    pairs: list[tuple[str, str | None, str | None, str]] = [
        ("code commit", recorded.code_commit, running.code_commit, ""),
        (
            "uncommitted changes",
            _word(recorded.code_dirty),
            _word(running.code_dirty),
            "",
        ),
        (
            "code",
            recorded.code_digest,
            running.code_digest,
            _changed_files(recorded.code_files, running.code_files),
        ),
        ("lock", recorded.lock_digest, running.lock_digest, ""),
        ("python", recorded.python, running.python, ""),
        ("implementation", recorded.implementation, running.implementation, ""),
        ("platform", recorded.platform, running.platform, ""),
        ("machine", recorded.machine, running.machine, ""),
    ]
    pairs += [
        (f"package {name}", recorded.packages.get(name), running.packages.get(name), "")
        for name in sorted({*recorded.packages, *running.packages})
    ]
    return tuple(
        Difference(name=name, recorded=before, found=now, detail=detail)
        for name, before, now, detail in pairs
        if before != now
    )


def _changed_files(recorded: Mapping[str, str], running: Mapping[str, str]) -> str:
    changed = [
        path for path in sorted({*recorded, *running}) if recorded.get(path) != running.get(path)
    ]
    if len(changed) > NAMED_FILES:
        return f"{', '.join(changed[:NAMED_FILES])} and {len(changed) - NAMED_FILES} more files"
    return ", ".join(changed)


def _word(flag: bool | None) -> str | None:  # noqa: FBT001 (a value to be named, not a switch)
    return None if flag is None else ("yes" if flag else "no")


def _short(value: str | None) -> str:
    """A digest by its first digits; two that begin alike are not met."""
    if value is None:
        return "none"
    return value[:19] if value.startswith("sha256:") else value
