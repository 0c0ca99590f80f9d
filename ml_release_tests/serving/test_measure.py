"""What loading and asking an artefact takes, in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ml_release.adapters.in_memory import SameProcessProbe
from ml_release.adapters.model_process import ModelProcess
from ml_release.adapters.onnx_models import OnnxLoader
from ml_release.errors import IntegrityError
from ml_release_tests.small_line import House
from ml_release_tests.workflows import steps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ml_release.domain.features import Columns
    from ml_release.ports import ServabilityProbe

VALUES: Columns = {
    "distance": np.array([100.0, np.nan, 2000.0]),
    "carrier": np.array(["AA", None, "unseen"], dtype=object),
    "minute": np.array([0.0, 600.0, 1439.0]),
    "carrier_rate": np.array([0.2, np.nan, 0.4]),
}
PROBES: dict[str, ServabilityProbe] = {
    "a process": ModelProcess(timeout_s=60),
    "the same process": SameProcessProbe(OnnxLoader()),
}


@pytest.fixture
def files(tmp_path: Path) -> Mapping[str, bytes]:
    """A real artefact."""
    house = House(tmp_path)
    steps.prepare(house, "2013-01", "2013-02", "2013-03")
    return house.models.read(steps.train(house).model_digest)


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
def test_every_row_is_asked_on_its_own(probe: ServabilityProbe, files: Mapping[str, bytes]) -> None:
    """Words, numbers and what is missing reach the model as they are."""
    found = probe.measure(files, VALUES)
    assert found.n == 3
    assert 0 < found.p50_ms <= found.p95_ms <= found.p99_ms
    assert found.load_ms > 0
    assert found.memory_mb >= 0


@pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize("harm", ["half a model", "no plan"])
def test_an_artefact_that_is_no_model_is_said_to_be_none(
    probe: ServabilityProbe, files: Mapping[str, bytes], harm: str
) -> None:
    """Whatever process it is loaded in."""
    broken = dict(files)
    if harm == "half a model":
        broken["model.onnx"] = broken["model.onnx"][:500]
    else:
        del broken["plan.json"]
    with pytest.raises(IntegrityError):
        probe.measure(broken, VALUES)


def test_a_heavy_artefact_is_measured_as_heavy(files: Mapping[str, bytes]) -> None:
    """Every file counts, since the server holds them too."""
    light = PROBES["a process"].measure(files, VALUES)
    heavy = PROBES["a process"].measure({**files, "ballast": b"\1" * 60_000_000}, VALUES)
    assert heavy.memory_mb - light.memory_mb > 40


def test_a_model_that_takes_too_long_cannot_be_served(files: Mapping[str, bytes]) -> None:
    """Nothing waits for ever."""
    with pytest.raises(IntegrityError, match=r"expected answers to 3 rows within 0\.01 s"):
        ModelProcess(timeout_s=0.01).measure(files, VALUES)
