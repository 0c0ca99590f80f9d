"""What was edited by hand in a declared state, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState

_SHOWN = 6


def edits(sealed: DeclaredState, found: DeclaredState) -> tuple[str, ...]:
    """Every field in which two states differ, as ``variants.0.weight_percent: 100.0, now 50.0``.

    Fields of lists and of nested parts are named by their path; one that is only in one of the
    states is ``nothing`` in the other.
    """
    before, after = _leaves(sealed.model_dump(mode="json")), _leaves(found.model_dump(mode="json"))
    return tuple(
        f"{path}: {before.get(path, 'nothing')}, now {after.get(path, 'nothing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def refusal(problem: str, *, line: str, sealed: DeclaredState | None, found: DeclaredState) -> str:
    """Why nobody acts on a declaration, what was edited in it, and what to do.

    Parameters
    ----------
    problem
        Of its seal, naming file and commit.
    sealed
        The newest state that a trusted key has sealed; None if there is none.
    """
    if sealed is None:
        return (
            f"{problem}. No declaration before it is sealed either: it was made before"
            " declarations were, or the key was replaced. If you trust what it declares, run"
            f" `ml-release restore {line} --adopt COMMIT --by WHO --reason WHY` with its commit,"
            " which declares the same again, sealed; name a key that was replaced in"
            " ML_RELEASE_VERIFY_KEY instead"
        )
    changed = edits(sealed, found)
    more = f"; {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
    said = f" Edited: {'; '.join(changed[:_SHOWN])}{more}." if changed else ""
    return (
        f"{problem}.{said} Roll back, or run `ml-release restore {line} --by WHO --reason WHY`,"
        " which declares the last sealed state again"
    )


def _leaves(value: object, path: str = "") -> dict[str, object]:
    """Every value that is not a mapping or a list, by its path; an empty one is a value itself."""
    if isinstance(value, dict) and value:
        parts = value.items()
    elif isinstance(value, list) and value:
        parts = dict(enumerate(value)).items()
    else:
        return {path: value}
    return {
        at: leaf
        for name, part in parts
        for at, leaf in _leaves(part, f"{path}.{name}" if path else str(name)).items()
    }
