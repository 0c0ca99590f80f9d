"""What every adapter of `Workplace` has to do, and what the one of this machine finds."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from time import process_time
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from dulwich import porcelain

from ml_release.adapters.in_memory import InMemoryWorkplace
from ml_release.adapters.workplace import LocalWorkplace
from ml_release.domain.build_record import differences
from ml_release.domain.identity import digest_of_bytes, digest_of_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ml_release.ports import Workplace

SOURCES = {
    "ml_release/__init__.py": b'"""The package."""\n',
    "ml_release/lines/policy.yaml": b"seed: 1\n",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with sources and a lock; no repository."""
    folder = tmp_path / "checkout"
    for name, content in SOURCES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "requirements.lock").write_bytes(b"numpy==2.4.6")
    return folder


def commit(folder: Path, *names: str) -> str:
    """Commit files, all of the checkout for none; return the commit."""
    if not (folder / ".git").exists():
        porcelain.init(str(folder)).close()
    chosen = names or tuple(p.relative_to(folder).as_posix() for p in files(folder))
    porcelain.add(str(folder), paths=[str(folder / name) for name in chosen])
    author = b"Ada <ada@localhost>"
    return porcelain.commit(
        str(folder), message=b"sources", author=author, committer=author, sign=False
    ).decode()


def files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in found if ".git" not in path.relative_to(folder).parts]


@pytest.fixture(params=["in_memory", "local"])
def make(request: pytest.FixtureRequest, checkout: Path) -> Callable[[dict[str, bytes]], Workplace]:
    """A workplace of given sources."""

    def local(sources: dict[str, bytes]) -> Workplace:
        for name, content in sources.items():
            (checkout / name).write_bytes(content)
        return LocalWorkplace(checkout / "ml_release")

    return InMemoryWorkplace if request.param == "in_memory" else local


def test_the_same_sources_are_the_same_build(
    make: Callable[[dict[str, bytes]], Workplace],
) -> None:
    """Asked twice, and by two workplaces; the digest is that of the files it lists."""
    one, other = make(dict(SOURCES)), make(dict(SOURCES))
    build = one.build(())
    assert build == one.build(()) == other.build(())
    assert build.code_files == {name: digest_of_bytes(text) for name, text in SOURCES.items()}
    assert build.code_digest == digest_of_json(dict(build.code_files))


@pytest.mark.parametrize("name", SOURCES)
def test_another_source_is_another_build(
    make: Callable[[dict[str, bytes]], Workplace], name: str
) -> None:
    """A policy as much as a module, and the difference names the file."""
    before = make(dict(SOURCES)).build(())
    after = make({**SOURCES, name: b"changed"}).build(())
    (code,) = (d for d in differences(before, after) if d.name == "code")
    assert code.detail == name


def test_the_environment_is_the_running_one(checkout: Path) -> None:
    """Interpreter, machine, and every package with its version."""
    build = LocalWorkplace(checkout / "ml_release").build(())
    assert build.python == platform.python_version()
    assert build.machine == platform.machine()
    assert platform.system() in build.platform
    assert build.packages["numpy"] == version("numpy")
    # By its normal form, whatever its author writes.
    assert build.packages["scikit-learn"] == version("scikit-learn")
    assert build.packages["import-linter"] == version("import-linter")


def test_the_lock_beside_the_package_is_named_by_its_digest(checkout: Path) -> None:
    """None if there is none."""
    workplace = LocalWorkplace(checkout / "ml_release")
    assert workplace.build(()).lock_digest == digest_of_bytes(b"numpy==2.4.6")
    (checkout / "requirements.lock").unlink()
    assert workplace.build(()).lock_digest is None


def test_a_checkout_is_named_by_its_commit(checkout: Path) -> None:
    """Clean as long as the sources are those of the commit, whatever else is changed."""
    workplace = LocalWorkplace(checkout / "ml_release")
    head = commit(checkout)
    (checkout / "notes.txt").write_text("not a source", encoding="utf-8")
    build = workplace.build(())
    assert (build.code_commit, build.code_dirty) == (head, False)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: (f / "ml_release/__init__.py").write_bytes(b"x"), id="edited"),
        pytest.param(lambda f: (f / "ml_release/new.py").write_bytes(b""), id="never added"),
        pytest.param(lambda f: (f / "ml_release/__init__.py").unlink(), id="removed"),
    ],
)
def test_sources_that_no_commit_has_make_a_checkout_dirty(
    checkout: Path, change: Callable[[Path], object]
) -> None:
    """The commit alone would name other code."""
    head = commit(checkout)
    change(checkout)
    build = LocalWorkplace(checkout / "ml_release").build(())
    assert (build.code_commit, build.code_dirty) == (head, True)


def test_what_python_and_editors_leave_behind_is_no_source(checkout: Path) -> None:
    """Neither compiled files nor hidden ones."""
    workplace = LocalWorkplace(checkout / "ml_release")
    commit(checkout)
    before = workplace.build(())
    (checkout / "ml_release/__pycache__").mkdir()
    (checkout / "ml_release/__pycache__/a.cpython-311.pyc").write_bytes(b"x")
    (checkout / "ml_release/.a.py.swp").write_bytes(b"x")
    assert workplace.build(()) == before


def test_outside_of_a_checkout_there_is_no_commit(checkout: Path) -> None:
    """The digest names the code all the same."""
    build = LocalWorkplace(checkout / "ml_release").build(())
    assert (build.code_commit, build.code_dirty) == (None, None)
    assert build.code_digest.startswith("sha256:")


def test_a_package_installed_inside_of_another_checkout_is_no_part_of_it(checkout: Path) -> None:
    """As in the environment of somebody's project: its commits are not ours."""
    commit(checkout, "requirements.lock")
    build = LocalWorkplace(checkout / "ml_release").build(())
    assert (build.code_commit, build.code_dirty) == (None, None)


def test_a_repository_without_a_commit_names_none(checkout: Path) -> None:
    """It was made a moment ago."""
    porcelain.init(str(checkout)).close()
    assert LocalWorkplace(checkout / "ml_release").build(()).code_commit is None


def test_a_line_outside_of_the_package_brings_its_sources(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module and the policy beside it; the same ones wherever they are."""
    builds = []
    for place in ("here", "there"):
        folder = tmp_path / place / "shop"
        folder.mkdir(parents=True)
        for name in ("line.py", "policy.yaml"):
            (folder / name).write_bytes(b"of the line")
        module = ModuleType("shop.line")
        module.__file__ = str(folder / "line.py")
        monkeypatch.setitem(sys.modules, "shop.line", module)
        # And one without a file, as in a notebook.
        asked = ("shop.line", "builtins")
        builds.append(LocalWorkplace(checkout / "ml_release").build(asked))
    assert set(builds[0].code_files) == {*SOURCES, "shop/line.py", "shop/policy.yaml"}
    assert {d.name for d in differences(*builds)} == set()


def test_a_record_costs_less_than_three_tenths_of_a_second() -> None:
    """Processor time for this very checkout, the best of five: no training waits for it."""
    workplace = LocalWorkplace()
    took = []
    for _ in range(5):
        begun = process_time()
        build = workplace.build(("ml_release.lines.flight_delay.line",))
        took.append(process_time() - begun)
    assert min(took) < 0.3
    assert "ml_release/lines/flight_delay/policy.yaml" in build.code_files
