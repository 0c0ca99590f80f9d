"""Who answers a client that names a version in the path.

Git declares which share of the units each version gets. A client that could choose would move that
share, and a comparison of canary and champion would count units that chose their own arm. So only
the champion, who answers by default, can be asked for by name; while others answer besides, such a
request is recorded as ``pinned`` and without a bucket, and counts for no arm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.serving.replies import HttpError

if TYPE_CHECKING:
    from ml_release.serving.model_table import Answering, Route

PINNED = "pinned"
"""Stands in a record in the place of the variant's role."""


def answering_version(line: str, route: Route, stated: str) -> Answering:
    """The version of a path, if it answers in this environment.

    Raises
    ------
    HttpError
        404 if it does not, naming those that do.
    """
    for number, answering in route.answering.items():
        if stated == str(number):
            return answering
    message = (
        f"model {line}, version {stated[:40]!a}: expected a version that answers here, one of"
        f" {sorted(route.answering)}; leave /versions/... out to be answered by what is declared"
    )
    raise HttpError(404, message)


def champion_by_name(line: str, route: Route, stated: str) -> Answering:
    """The champion, if a path names it.

    Raises
    ------
    HttpError
        404 as `answering_version`; 409 for a version that answers only those units it is declared
        to get.
    """
    found = answering_version(line, route, stated)
    if found is not route.champion:
        variant = found.variant
        message = (
            f"model {line}, version {variant.version}: expected the champion,"
            f" {route.champion.variant.version}, or no version; as {variant.role} it answers"
            f" {variant.weight_percent:g} % of the units, those that are assigned to it"
        )
        raise HttpError(409, message)
    return found


def is_beside_a_split(route: Route) -> bool:
    """Whether others answer besides the champion, so that naming it goes around an assignment."""
    return len(route.declaration.state.variants) > 1
