"""Rebuild a version in a fresh process with a folder of its own, and show what it found.

Nothing is changed, so that no Dagster job runs: the home folder is read, and what is built goes to
a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_release
from ml_release import errors
from ml_release.cli.console import messages, print_facts, print_json, progress_bar
from ml_release.cli.rebuild_process import ANSWER_FILE, ERROR_FILE
from ml_release.domain.rebuild import Rebuild, RebuildOutcome
from ml_release.errors import MlReleaseError, NotFoundError
from ml_release.settings import child_environment

if TYPE_CHECKING:
    from ml_release.settings import Settings

_MODULE = "ml_release.cli.rebuild_process"
_LOG_FILE = "rebuild.log"
_SHOWN = 5


def rebuild(
    line: str, version: int, *, tolerance: float, settings: Settings, keep: bool
) -> tuple[Rebuild, Path | None]:
    """Rebuild in a process of its own; with ``keep`` the folder with all that was made stays.

    Raises
    ------
    MlReleaseError
        As the process raised it.
    RuntimeError
        If it broke, with the last of what it said.
    """
    if not settings.home.is_dir():
        message = (
            f"home folder {settings.home}: expected one with the records of {line} version"
            f" {version}, found none. Set ML_RELEASE_HOME, or train first."
        )
        raise NotFoundError(message)
    folder = Path(tempfile.mkdtemp(prefix="ml_release-rebuild-"))
    try:
        answer = _rebuilt(line, version, tolerance, folder, settings=settings)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return answer, folder if keep else None


def _rebuilt(
    line: str, version: int, tolerance: float, folder: Path, *, settings: Settings
) -> Rebuild:
    # -P and the package's own folder: not another package that lies where the command was given.
    command = [sys.executable, "-P", "-m", _MODULE, line, str(version), str(tolerance), str(folder)]
    with (
        progress_bar() as progress,
        (folder / _LOG_FILE).open("wb") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            encoding="utf-8",
            env=_environment(settings),
        ) as process,
    ):
        task = progress.add_task("a fresh process", total=None)
        try:
            for told in process.stdout or ():
                if (step := _step(told)) is not None:
                    progress.update(
                        task,
                        description=step["step"],
                        completed=step["done"],
                        total=step["total"],
                    )
        except BaseException:
            # Interrupted: nobody waits for the answer any more.
            process.kill()
            raise
    if (folder / ANSWER_FILE).exists():
        return Rebuild.model_validate_json((folder / ANSWER_FILE).read_bytes())
    if (folder / ERROR_FILE).exists():
        told = json.loads((folder / ERROR_FILE).read_bytes())
        kind = getattr(errors, told["kind"], MlReleaseError)
        raise kind(told["message"])
    words = (folder / _LOG_FILE).read_text(encoding="utf-8", errors="replace").strip()
    message = (
        f"rebuild of {line} version {version}: the process ended with {process.returncode}:"
        f" {words[-2000:] or 'without a word'}"
    )
    raise RuntimeError(message)


def _environment(settings: Settings) -> dict[str, str]:
    found = child_environment(settings)
    paths = (str(Path(ml_release.__file__).parents[1]), found.get("PYTHONPATH", ""))
    return {**found, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _step(told: str) -> dict[str, Any] | None:
    """A step, None for a line that some library has printed."""
    try:
        found = json.loads(told)
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"step", "done", "total"} <= set(found) else None


def show(answer: Rebuild, folder: Path | None, *, as_json: bool) -> None:
    """The outcome, what diverged, and the probable cause."""
    if as_json:
        print_json(
            {
                **answer.model_dump(mode="json"),
                "sentence": answer.sentence(),
                "probable_causes": list(answer.causes),
                "folder": None if folder is None else str(folder),
            }
        )
        return
    print_facts(_facts(answer, folder), title=f"{answer.line} version {answer.version}")
    if answer.outcome is RebuildOutcome.EQUAL_BYTES and answer.divergences:
        messages.print("What diverged has no effect on the model.", style="dim")


def _facts(answer: Rebuild, folder: Path | None) -> list[tuple[str, str]]:
    diverged = [one.sentence() for one in answer.divergences]
    drift = [one.sentence() for one in answer.environment]
    return [
        ("rebuilt", answer.sentence()),
        ("recorded digest", answer.recorded_digest),
        ("rebuilt digest", answer.rebuilt_digest or "none"),
        *_rows("diverged", diverged, none="nothing"),
        *_rows("environment drift", drift, none="none"),
        *(_rows("probable cause", answer.causes, none="") if answer.causes else []),
        *([] if folder is None else [("kept", str(folder))]),
    ]


def _rows(name: str, told: list[str] | tuple[str, ...], *, none: str) -> list[tuple[str, str]]:
    """The first of them, each in a row; how many more there are."""
    shown = [*told[:_SHOWN], *([f"{len(told) - _SHOWN} more (--json)"] if told[_SHOWN:] else [])]
    first, *others = shown or [none]
    return [(name, first), *(("", other) for other in others)]
