"""What one declaration changed in the one before it, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_release.domain.deployment import DeclaredState


def shares_in_words(state: DeclaredState | None) -> str:
    """Who answers what, as ``version 3: 95 %, version 4: 5 %``."""
    if state is None:
        return "nothing"
    shares = [f"version {one.version}: {one.weight_percent:g} %" for one in state.variants]
    asked = [f"version {one.version}: asked for {one.sample_percent:g} %" for one in state.shadows]
    return ", ".join((*shares, *asked))


def move_in_words(before: DeclaredState | None, after: DeclaredState) -> str:
    """The move, its most telling part first; parts that changed together are joined."""
    if before is None:
        return f"version {after.champion.version} declared, the first one"
    parts = [
        *_withdrawals(before, after),
        *_champions(before, after),
        *_beside(before, after),
        *_switch(before, after),
        *_experiment(before, after),
    ]
    if parts:
        return "; ".join(parts)
    if before == after:
        return "declared again"
    names = type(after).model_fields
    changed = sorted(n for n in names if getattr(before, n) != getattr(after, n))
    return f"{', '.join(changed)} changed"


def _withdrawals(before: DeclaredState, after: DeclaredState) -> list[str]:
    taken = sorted(set(after.withdrawn) - set(before.withdrawn))
    lifted = sorted(set(before.withdrawn) - set(after.withdrawn))
    words = [f"version {number} withdrawn" for number in taken]
    return words + [f"version {number} lifted" for number in lifted]


def _champions(before: DeclaredState, after: DeclaredState) -> list[str]:
    old, new = before.champion.version, after.champion.version
    if old == new:
        return []
    went_back = old in after.withdrawn and old not in before.withdrawn
    return [f"{'back to' if went_back else 'promoted'} version {new}"]


def _beside(before: DeclaredState, after: DeclaredState) -> list[str]:
    """Shadows, canaries, and the watch of a release."""
    old, new = before.rollout, after.rollout
    words = []
    if new is not None and (old is None or (old.version, old.leg) != (new.version, new.leg)):
        words.append(
            {
                "shadow": f"version {new.version} asked in secret",
                "canary": f"version {new.version} as canary, step {new.step + 1}",
                "watch": f"version {new.version} under watch",
            }[new.leg]
        )
    elif new is not None and old is not None and new.step != old.step:
        words.append(f"version {new.version} as canary, step {new.step + 1}")
    if old is not None and new is None:
        ended = "watch" if old.leg == "watch" else "release"
        words.append(f"{ended} of version {old.version} ended")
    return words


def _switch(before: DeclaredState, after: DeclaredState) -> list[str]:
    old = before.kill_switch is not None and before.kill_switch.engaged
    new = after.kill_switch is not None and after.kill_switch.engaged
    if old == new:
        return []
    return ["kill switch pulled" if new else "kill switch released"]


def _experiment(before: DeclaredState, after: DeclaredState) -> list[str]:
    old, new = before.experiment, after.experiment
    if (None if old is None else old.name) == (None if new is None else new.name):
        return []
    words = [f"experiment {old.name} ended"] if old is not None else []
    return words + ([f"experiment {new.name} begun"] if new is not None else [])
