"""Artefacts, and a probe without a process."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from ml_release.domain.artefact_forms import form_problem
from ml_release.domain.gates_servability import Servability
from ml_release.domain.identity import check_digest, digest_hex, digest_of_bytes, digest_of_json
from ml_release.errors import InputError, IntegrityError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.domain.features import Columns
    from ml_release.ports import ModelLoader


class InMemoryModels:
    """`ModelStore` in a dictionary; nothing is signed, since nobody else can write there.

    Attributes
    ----------
    artefacts
        Files per model digest; a test may change one to see that it is noticed.
    """

    def __init__(self) -> None:
        self.artefacts: dict[str, dict[str, bytes]] = {}

    def publish(self, files: Mapping[str, bytes]) -> str:
        """Keep a set of files; return the model digest."""
        if not files or not all(name and "/" not in name and name != ".." for name in files):
            message = f"model artefact: expected plain file names, found {sorted(files)}"
            raise InputError(message)
        if problem := form_problem(files):
            message = f"model artefact: {problem}. Nothing was kept."
            raise InputError(message)
        digest = _artefact_digest(files)
        if digest in self.artefacts:
            self.read(digest)
        self.artefacts.setdefault(digest, dict(files))
        return digest

    def read(self, model_digest: str) -> dict[str, bytes]:
        """The files of an artefact, verified."""
        digest_hex(model_digest)
        if model_digest not in self.artefacts:
            message = f"model {model_digest}: no such artefact. Train and register it again."
            raise NotFoundError(message)
        files = self.artefacts[model_digest]
        check_digest("model", expected=model_digest, found=_artefact_digest(files))
        if problem := form_problem(files):
            message = f"model {model_digest}: {problem}. Train again."
            raise IntegrityError(message)
        return dict(files)


class SameProcessProbe:
    """`ServabilityProbe` in the process that asks; its memory is the size of the files."""

    def __init__(self, loader: ModelLoader) -> None:
        self._loader = loader

    def measure(self, files: Mapping[str, bytes], values: Columns) -> Servability:
        """Load and ask every row on its own."""
        start = perf_counter()
        model = self._loader.load(files)
        load_ms = (perf_counter() - start) * 1000
        times = []
        for row in range(len(next(iter(values.values())))):
            start = perf_counter()
            model.predict({name: column[row : row + 1] for name, column in values.items()})
            times.append((perf_counter() - start) * 1000)
        ordered = sorted(times)
        return Servability(
            n=len(times),
            load_ms=load_ms,
            p50_ms=ordered[len(times) // 2],
            p95_ms=ordered[len(times) * 95 // 100],
            p99_ms=ordered[len(times) * 99 // 100],
            memory_mb=sum(map(len, files.values())) / 1e6,
        )


def _artefact_digest(files: Mapping[str, bytes]) -> str:
    return digest_of_json({name: digest_of_bytes(content) for name, content in files.items()})
