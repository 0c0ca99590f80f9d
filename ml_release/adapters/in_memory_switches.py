"""`Switches` in a dictionary, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ml_release.domain.identity import check_line_name

if TYPE_CHECKING:
    from ml_release.domain.kill_switch import Pulled


class InMemorySwitches:
    """`Switches` that forget everything with the process."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Pulled] = {}

    def pull(self, line: str, environment: str, pulled: Pulled) -> None:
        """Keep what was done."""
        self._kept[check_line_name(line), environment] = pulled

    def lines(self, environment: str) -> tuple[str, ...]:
        """Lines of which something is kept."""
        return tuple(sorted(line for line, kept in self._kept if kept == environment))

    def read(self, line: str, environment: str) -> Pulled | None:
        """What was done last; None if there is nothing."""
        return self._kept.get((check_line_name(line), environment))

    def clear(self, line: str, environment: str, pulled: Pulled) -> bool:
        """Forget exactly this; False if something else was done since."""
        if self._kept.get((line, environment)) != pulled:
            return False
        del self._kept[line, environment]
        return True
