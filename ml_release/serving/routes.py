"""The addresses of the server, as data: finder, status page and tests read one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from ml_release.serving.replies import HttpError

Action = Literal[
    "infer",
    "invocations",
    "labels",
    "rewards",
    "kill_switch",
    "metadata",
    "line_ready",
    "live",
    "ready",
    "server",
    "status",
    "page",
    "metrics",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One route; ``{line}`` stands for the name of a release line."""

    method: Literal["GET", "POST"]
    path: str
    action: Action
    description: str


ADDRESSES = (
    Address(
        method="POST",
        path="/v2/models/{line}/infer",
        action="infer",
        description="predictions, Open Inference Protocol v2",
    ),
    Address(
        method="POST",
        path="/models/{line}/invocations",
        action="invocations",
        description="predictions, MLflow's scoring formats",
    ),
    Address(
        method="POST",
        path="/models/{line}/labels",
        action="labels",
        description="labels that are known later, by request id",
    ),
    Address(
        method="POST",
        path="/models/{line}/rewards",
        action="rewards",
        description="what an answer of an experiment was worth, by request id",
    ),
    Address(
        method="POST",
        path="/models/{line}/kill-switch",
        action="kill_switch",
        description="answer without a model at once, or let models answer again",
    ),
    Address(
        method="GET",
        path="/v2/models/{line}",
        action="metadata",
        description="what a request has to carry",
    ),
    Address(
        method="GET",
        path="/v2/models/{line}/ready",
        action="line_ready",
        description="whether a version of the line is loaded",
    ),
    Address(
        method="GET",
        path="/v2/health/live",
        action="live",
        description="whether the process runs",
    ),
    Address(
        method="GET",
        path="/v2/health/ready",
        action="ready",
        description="whether every declared line is answered",
    ),
    Address(method="GET", path="/v2", action="server", description="name of the server"),
    Address(
        method="GET",
        path="/metrics",
        action="metrics",
        description="counts and latencies for Prometheus",
    ),
    Address(method="GET", path="/status", action="status", description="this page as JSON"),
    Address(method="GET", path="/", action="page", description="this page"),
)


@lru_cache(maxsize=128)
def find_address(method: str, path: str) -> tuple[Address, str]:
    """The route of a request and the line it names, empty where it names none.

    Raises
    ------
    HttpError
        404 if nothing answers at the path, 405 if something does by another method.
    """
    parts = path.split("/")
    found = _FIXED.get(path)
    line = ""
    # A line is always the third or the fourth part: /models/{line}/..., /v2/models/{line}...
    for position in (3, 2):
        if found is None and len(parts) > position and parts[position]:
            template = [*parts]
            line, template[position] = parts[position], "{line}"
            found = _NAMING_A_LINE.get("/".join(template))
    if found is None:
        message = f"path {path[:200]!a}: nothing answers here; GET / lists the routes"
        raise HttpError(404, message)
    if method != found.method:
        message = f"path {path}: expected {found.method}, found {method}"
        raise HttpError(405, message, (("allow", found.method),))
    return found, line


_FIXED = {address.path: address for address in ADDRESSES if "{line}" not in address.path}
_NAMING_A_LINE = {address.path: address for address in ADDRESSES if "{line}" in address.path}
