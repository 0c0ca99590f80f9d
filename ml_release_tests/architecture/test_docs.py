"""What the documents say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from ml_release.cli import app
from ml_release.errors import MlReleaseError

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    """And the readme names no command that is not there."""
    group = typer.main.get_command(app)
    commands = set(group.commands)  # type: ignore[attr-defined]
    table = README.split("## Work with it")[1].split("## ")[0]
    documented = set(re.findall(r"`ml-release ([\w-]+)", table)) | {"up", "demo"}
    assert documented == commands


@pytest.mark.parametrize("path", re.findall(r"\]\(((?!http)[^)]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(path: str) -> None:
    """Files and pictures of this project."""
    assert (PROJECT / path).exists()


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:ml_release|data|docs|benchmarks)[\w/.]*)`", README)
)
def test_every_path_of_the_readme_exists(path: str) -> None:
    """Folders of the map, and where to start reading."""
    assert (PROJECT / path).exists()


def test_every_make_target_of_the_readme_exists() -> None:
    """What a reader types works."""
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    assert set(re.findall(r"`?make ([a-z-]+)", README)) - {"all"} <= targets


def test_every_error_is_drawn_in_the_tree() -> None:
    """The docstring of errors.py shows each class below its base."""
    import ml_release.errors

    def names(kind: type[MlReleaseError]) -> set[str]:
        found = {kind.__name__}
        for one in kind.__subclasses__():
            found |= names(one)
        return found

    drawn = set(re.findall(r"\w+Error", (ml_release.errors.__doc__ or "").split("\n\nA class")[0]))
    assert drawn == names(MlReleaseError)


def test_decisions_are_numbered_without_gaps() -> None:
    """Each has its status and its costs."""
    records = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert "Status: " in text
        assert "**Costs.**" in text
