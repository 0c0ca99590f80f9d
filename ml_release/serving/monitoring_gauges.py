"""The gauges that the monitor job leaves for Prometheus, read when a scrape finds them changed.

They say how the models do, the server's own counts say how the server does. Whatever is wrong with
a file is told as a gauge of its own: a scrape never fails because of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily

from ml_release.domain.gauges import AGE, GAUGES, PROBLEMS, gauges_from_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client.core import Metric

    from ml_release.domain.gauges import GaugeFile

_LOG = logging.getLogger(__name__)
_LARGEST_BYTES = 1024 * 1024
_LINE = ("line",)
_Stamp = tuple[int, int, int]


class MonitoringGauges:
    """What is in a folder of gauge files, one per line, of one environment.

    A file costs one look at its time and size per scrape, and is read once per change.
    """

    def __init__(self, folder: Path, *, environment: str) -> None:
        self._folder = folder / environment
        self._environment = environment
        self._read: dict[str, tuple[_Stamp, GaugeFile | None]] = {}
        self._written: tuple[tuple[tuple[str, _Stamp], ...], bytes] | None = None

    def text(self, lines: Sequence[str], *, now: float) -> bytes:
        """All families of the declared lines in Prometheus' text format 0.0.4.

        A line that was never monitored has no samples. What the files say is written out once per
        change, so that most scrapes only write the ages.

        Parameters
        ----------
        now
            Seconds since 1970.
        """
        found = {line: self._file_of(line) for line in lines}
        known = {line: file for line, file in found.items() if file is not None}
        state = tuple((line, self._read[line][0]) for line in known)
        if self._written is None or self._written[0] != state:
            self._written = state, generate_latest(_Collected(_families(known)))
        return self._written[1] + generate_latest(_Collected(self._ages(lines, known, now)))

    def _ages(
        self, lines: Sequence[str], known: Mapping[str, GaugeFile], now: float
    ) -> Iterator[Metric]:
        age = GaugeMetricFamily(AGE, "Time since the line was monitored.", labels=_LINE)
        for line, file in known.items():
            age.add_metric((line,), max(0.0, now - file.written_at))
        yield age
        problems = GaugeMetricFamily(
            PROBLEMS, "Whether what monitoring left here cannot be read.", labels=_LINE
        )
        for line in lines:
            problems.add_metric((line,), float(line in self._read and line not in known))
        yield problems

    def _file_of(self, line: str) -> GaugeFile | None:
        path = self._folder / f"{line}.json"
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            kept = self._read.get(line)
            if kept is None or kept[0] != stamp:
                self._read[line] = stamp, self._decoded(path, line, stat.st_size)
        except FileNotFoundError:
            self._read.pop(line, None)
            return None
        except OSError as error:
            _LOG.warning("gauges of %s: %s cannot be read (%s)", line, path, error.strerror)
            # Tried again at the next scrape.
            self._read[line] = (-1, -1, -1), None
        return self._read[line][1]

    def _decoded(self, path: Path, line: str, size: int) -> GaugeFile | None:
        if size > _LARGEST_BYTES:
            _LOG.warning("gauges of %s: expected at most %s bytes", line, _LARGEST_BYTES)
            return None
        try:
            content = path.read_bytes()
            return gauges_from_json(content, line=line, environment=self._environment)
        except IntegrityError as error:
            _LOG.warning("%s", error)
            return None


class _Collected:
    """What prometheus_client takes for a registry."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _families(known: Mapping[str, GaugeFile]) -> Iterator[Metric]:
    for name, gauge in GAUGES.items():
        family = GaugeMetricFamily(name, gauge.documentation, labels=(*_LINE, *gauge.labels))
        for line, file in known.items():
            for sample in file.samples.get(name, ()):
                family.add_metric((line, *sample.labels), sample.value)
        yield family
