"""What commands have in common: their arguments, what they open, how they tell what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ml_release.settings import read_settings, refuse_telemetry

if TYPE_CHECKING:
    from ml_release.orchestration.wiring import Wiring
    from ml_release.settings import Settings
    from ml_release.spec.release_line import ReleaseLine

Line = Annotated[str, typer.Argument(metavar="LINE", help="Name of the release line.")]
Version = Annotated[
    int | None, typer.Argument(metavar="[VERSION]", help="Default: the newest registered.")
]
By = Annotated[str, typer.Option("--by", help="Who asks for it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def settings_now() -> Settings:
    """The settings, with every library's telemetry off."""
    refuse_telemetry()
    return read_settings()


def opened(name: str) -> tuple[ReleaseLine, Settings, Wiring]:
    """A line by its name with everything around it."""
    from ml_release.definitions import find_line
    from ml_release.orchestration.wiring import local_wiring

    settings = settings_now()
    return find_line(name), settings, local_wiring(settings)


def tell(text: str, document: dict[str, Any], *, as_json: bool) -> None:
    """Print what was done, in words or as one object."""
    from ml_release.cli.console import print_json, results

    if as_json:
        print_json(document)
    else:
        results.print(text, soft_wrap=True)
