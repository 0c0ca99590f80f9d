"""The addresses of the server, as data: finder, status page and tests read one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from ml_release.serving.csv_rows import CSV_TYPE
from ml_release.serving.replies import HttpError

JSON_TYPE = "application/json"
OCTETS_TYPE = "application/octet-stream"

Action = Literal[
    "infer",
    "infer_version",
    "invocations",
    "labels",
    "rewards",
    "kill_switch",
    "metadata",
    "metadata_version",
    "line_ready",
    "version_ready",
    "line_ping",
    "only_invocations",
    "only_ping",
    "server_version",
    "openapi",
    "live",
    "ready",
    "server",
    "status",
    "page",
    "metrics",
]


ONLY_LINE: frozenset[Action] = frozenset({"only_invocations", "only_ping"})
"""MLflow's addresses, which name no line: they mean the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One route.

    Attributes
    ----------
    path
        ``{line}`` stands for the name of a release line, ``{version}`` for one of its versions.
    content_types
        Of the bodies it takes; the first one is taken where a request states none.
    """

    method: Literal["GET", "POST"]
    path: str
    action: Action
    description: str
    content_types: tuple[str, ...] = (JSON_TYPE,)


ADDRESSES = (
    Address(
        method="POST",
        path="/v2/models/{line}/infer",
        action="infer",
        description="predictions, Open Inference Protocol v2",
        content_types=(JSON_TYPE, OCTETS_TYPE),
    ),
    Address(
        method="POST",
        path="/v2/models/{line}/versions/{version}/infer",
        action="infer_version",
        description="the same of the champion, by its number",
        content_types=(JSON_TYPE, OCTETS_TYPE),
    ),
    Address(
        method="POST",
        path="/models/{line}/invocations",
        action="invocations",
        description="predictions, MLflow's scoring formats",
        content_types=(JSON_TYPE, CSV_TYPE),
    ),
    Address(
        method="POST",
        path="/invocations",
        action="only_invocations",
        description="the same where one line only is declared",
        content_types=(JSON_TYPE, CSV_TYPE),
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
        path="/v2/models/{line}/versions/{version}",
        action="metadata_version",
        description="the same of one version",
    ),
    Address(
        method="GET",
        path="/v2/models/{line}/ready",
        action="line_ready",
        description="whether a version of the line is loaded",
    ),
    Address(
        method="GET",
        path="/v2/models/{line}/versions/{version}/ready",
        action="version_ready",
        description="whether this version answers",
    ),
    Address(
        method="GET",
        path="/models/{line}/ping",
        action="line_ping",
        description="whether the line is answered, as MLflow asks",
    ),
    Address(
        method="GET",
        path="/models/{line}/health",
        action="line_ping",
        description="the same",
    ),
    Address(
        method="GET",
        path="/models/{line}/version",
        action="server_version",
        description="number of this server's release, as text",
    ),
    Address(
        method="GET",
        path="/ping",
        action="only_ping",
        description="as of a line, where one only is declared",
    ),
    Address(method="GET", path="/health", action="only_ping", description="the same"),
    Address(
        method="GET", path="/version", action="server_version", description="the same as of a line"
    ),
    Address(
        method="GET",
        path="/openapi.json",
        action="openapi",
        description="all of this for programs, OpenAPI 3.1",
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


class Found(NamedTuple):
    """A route and what the path names; empty where it names none."""

    address: Address
    line: str = ""
    version: str = ""


@lru_cache(maxsize=128)
def find_address(method: str, path: str) -> Found:
    """The route of a request.

    Raises
    ------
    HttpError
        404 if nothing answers at the path, 405 if something does by another method.
    """
    fixed = _FIXED.get(path)
    found = _naming_a_line(path) if fixed is None else Found(fixed)
    if found is None:
        message = f"path {path[:200]!a}: nothing answers here; GET / lists the routes"
        raise HttpError(404, message)
    expected = found.address.method
    if method != expected:
        message = f"path {path}: expected {expected}, found {method}"
        raise HttpError(405, message, (("allow", expected),))
    return found


def _naming_a_line(path: str) -> Found | None:
    parts = path.split("/")
    # A line is always the third or the fourth part, /models/{line}/... or /v2/models/{line}...,
    # and a version the sixth, /v2/models/{line}/versions/{version}...
    for position in (3, 2):
        if len(parts) <= position or not parts[position]:
            continue
        template = [*parts]
        line, template[position] = parts[position], "{line}"
        version = ""
        if len(parts) > 5 and parts[4] == "versions" and parts[5]:  # noqa: PLR2004
            version, template[5] = parts[5], "{version}"
        address = _NAMING_A_LINE.get("/".join(template))
        # Nobody names a line or a version by the braces of a template.
        if address is not None and ("{version}" in address.path) == bool(version):
            return Found(address, line, version)
    return None


_FIXED = {address.path: address for address in ADDRESSES if "{line}" not in address.path}
_NAMING_A_LINE = {address.path: address for address in ADDRESSES if "{line}" in address.path}
