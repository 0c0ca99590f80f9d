"""Which lines answer without a model now: what was pulled here, beside what Git declares."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ml_release.domain.kill_switch import static_answer
from ml_release.errors import MlReleaseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ml_release.adapters.switch_files import SwitchFiles
    from ml_release.domain.deployment import KillSwitch
    from ml_release.domain.kill_switch import Pulled

_LOG = logging.getLogger(__name__)


class KillSwitches:
    """Pulled switches by line, in memory for every request and in files for the next start.

    Parameters
    ----------
    environment
        Whose switches these are.
    """

    def __init__(self, files: SwitchFiles, *, environment: str) -> None:
        self._files = files
        self._environment = environment
        self._pulled: Mapping[str, Pulled | None] = {}
        self._pulls = 0
        self._lock = threading.Lock()

    def answer(self, line: str, declared: KillSwitch | None) -> float | None:
        """The static answer of a line, None while its models answer."""
        return static_answer(declared, self._pulled.get(line))

    def pulled(self, line: str) -> Pulled | None:
        """What was pulled at the server and is not in Git yet."""
        return self._pulled.get(line)

    def pull(self, line: str, pulled: Pulled) -> None:
        """Keep it, then let it hold: a restart must not bring the model back by itself.

        Raises
        ------
        UnavailableError
            If it cannot be kept. It holds all the same, until the server ends.
        """
        with self._lock:
            self._pulls += 1
            self._pulled = {**self._pulled, line: pulled}
            self._files.pull(line, self._environment, pulled)

    def seen(self) -> tuple[int, dict[str, Pulled | None]]:
        """What the files say, to be given to `take_over` after declared state was read.

        In this order a switch that moves from its file into Git is never in neither.
        """
        pulls = self._pulls
        found: dict[str, Pulled | None] = {}
        for line in self._files.lines(self._environment):
            try:
                found[line] = self._files.read(line, self._environment)
            except (MlReleaseError, OSError) as error:
                # What holds goes on to hold: a file that cannot be read releases nothing.
                _LOG.warning("kill switch of %s: %s", line, error)
                found[line] = self._pulled.get(line)
        return pulls, found

    def take_over(self, pulls: int, found: Mapping[str, Pulled | None]) -> None:
        """Let what the files said hold, unless a switch was pulled here since."""
        with self._lock:
            if pulls == self._pulls:
                self._pulled = dict(found)
