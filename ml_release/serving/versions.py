"""The versions that are loaded: champions in the server, everything else in its own process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ml_release.errors import IntegrityError, MlReleaseError
from ml_release.serving.model_table import load_version
from ml_release.serving.workers import IsolatedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.adapters.model_files import ModelFiles
    from ml_release.domain.answering import ModelLoader
    from ml_release.domain.history_table import HistoryTable
    from ml_release.serving.model_table import LoadedVersion
    from ml_release.serving.workers import Workers

LONGEST_PAUSE_SECONDS = 60.0
Place = tuple[str, str, bool]
"""Line, model digest, and whether in a process of its own."""


@dataclass(frozen=True, slots=True)
class _Setback:
    times: int
    next_try: float
    reason: str


@dataclass(slots=True, kw_only=True)
class Versions:
    """Loads by digest, verified, and keeps what is in use.

    Attributes
    ----------
    loader
        For champions and what may have to take their place at once.
    workers
        For everything else.
    retry_seconds
        The pause after the first failure of an isolated version; it doubles with every further
        one, so that a version that crashes whenever it loads does not keep the machine busy.
    """

    models: ModelFiles
    loader: ModelLoader
    workers: Workers
    retry_seconds: float
    _loaded: dict[Place, LoadedVersion] = field(default_factory=dict)
    _setbacks: dict[Place, _Setback] = field(default_factory=dict)

    def get(
        self,
        line: str,
        model_digest: str,
        history: HistoryTable | None,
        *,
        isolated: bool,
        try_first: bool = False,
    ) -> LoadedVersion:
        """A version that answered its own example.

        Parameters
        ----------
        isolated
            In a process of its own.
        try_first
            Let it load and answer in a process of its own before it comes into this one.

        Raises
        ------
        MlReleaseError, OSError
            If it cannot be loaded; nothing that is loaded changes.
        """
        place = (line, model_digest, isolated)
        known = self._loaded.get(place)
        if known is not None and (gone := gone_of(known)) is not None:
            del self._loaded[place]
            self._set_back(place, gone)
            known = None
        if known is None:
            known = self._load(place, history, try_first=try_first)
            self._loaded[place] = known
        return known

    def keep_only(self, places: set[Place]) -> None:
        """Let everything else go; processes end."""
        for place in self._loaded.keys() - places:
            version = self._loaded.pop(place)
            if isinstance(version.model, IsolatedModel):
                version.model.end()
        self._setbacks = {p: s for p, s in self._setbacks.items() if p in places}

    def close(self) -> None:
        """Let everything go."""
        self.keep_only(set())
        self.workers.close()

    def _load(
        self, place: Place, history: HistoryTable | None, *, try_first: bool
    ) -> LoadedVersion:
        line, model_digest, isolated = place
        setback = self._setbacks.get(place)
        if setback is not None and time.monotonic() < setback.next_try:
            message = f"{setback.reason}; it has failed {setback.times} times and is tried again"
            raise IntegrityError(message)
        files = self.models.read(model_digest)
        try:
            if try_first and not self._has_proven_itself(line, model_digest):
                self._try_out(line, model_digest, files, history)
            loader: ModelLoader = self.workers if isolated else self.loader
            version = load_version(line, model_digest, files, loader, history)
        except MlReleaseError as error:
            if isolated or try_first:
                self._set_back(place, str(error))
            raise
        self._setbacks.pop(place, None)
        return version

    def _has_proven_itself(self, line: str, model_digest: str) -> bool:
        isolated = self._loaded.get((line, model_digest, True))
        return isolated is not None and gone_of(isolated) is None

    def _try_out(
        self,
        line: str,
        model_digest: str,
        files: Mapping[str, bytes],
        history: HistoryTable | None,
    ) -> None:
        tried = load_version(line, model_digest, files, self.workers, history)
        if isinstance(tried.model, IsolatedModel):
            tried.model.end()

    def _set_back(self, place: Place, reason: str) -> None:
        before = self._setbacks.get(place)
        times = 1 if before is None else before.times + 1
        pause = min(self.retry_seconds * 2 ** (times - 1), LONGEST_PAUSE_SECONDS)
        self._setbacks[place] = _Setback(times, time.monotonic() + pause, reason)


def gone_of(version: LoadedVersion) -> str | None:
    """Why the process of an isolated version answers no more; None if it does, or has none."""
    return version.model.gone if isinstance(version.model, IsolatedModel) else None
