"""A writer that is killed in its work leaves a table that can be read and completed."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml_release.adapters.delta_tables import DeltaTables

PROJECT = Path(__file__).parents[2]
LINE, TABLE, ROWS = "flight_delay", "snapshot", 400_000

# Replaces one partition with other rows again and again, until it is killed.
WRITER = f"""
import sys
import numpy as np, pandas as pd
from ml_release.adapters.delta_tables import DeltaTables
tables = DeltaTables(sys.argv[1])
for number in range(1, 1000):
    values = np.random.default_rng(number).uniform(size={ROWS})
    rows = pd.DataFrame({{"number": np.full({ROWS}, float(number)), "value": values}})
    print(number, flush=True)
    tables.write("{LINE}", "{TABLE}", "2013-02", rows)
"""


def rows(number: int) -> pd.DataFrame:
    """Few rows that are easy to know again."""
    return pd.DataFrame({"number": [float(number)] * 3, "value": [0.1, 0.2, 0.3]})


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_killed_write_leaves_a_former_version_and_doubles_nothing(
    tmp_path: Path, seed: int
) -> None:
    """SIGKILL at any moment: every partition reads whole, and the next run goes on."""
    tables = DeltaTables(tmp_path)
    other = tables.write(LINE, TABLE, "2013-01", rows(0))
    tables.write(LINE, TABLE, "2013-02", rows(0))
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, cwd=PROJECT
    ) as writer:
        assert writer.stdout is not None
        for _ in range(2):
            # The second number is told once the first write has ended.
            assert writer.stdout.readline().strip().isdigit()
        time.sleep(random.Random(seed).uniform(0, 0.08))
        writer.send_signal(signal.SIGKILL)
    first, second = tables.current(LINE, TABLE)
    assert (first.digest, first.rows) == (other.digest, 3)
    found = tables.read(second, TABLE)
    assert len(found) == second.rows == ROWS
    assert len(set(found["number"])) == 1
    completed = tables.write(LINE, TABLE, "2013-02", rows(7))
    assert [(s.partition, s.rows) for s in tables.current(LINE, TABLE)] == [
        ("2013-01", 3),
        ("2013-02", 3),
    ]
    assert set(tables.read(completed, TABLE)["number"]) == {7.0}
    assert np.isfinite(tables.read(second, TABLE)["value"]).all()


def test_an_address_is_as_good_as_a_folder(tmp_path: Path) -> None:
    """What begins with a scheme goes to the store behind it, here the local one."""
    DeltaTables(f"file://{tmp_path}").write(LINE, TABLE, "2013-01", rows(1))
    (found,) = DeltaTables(tmp_path).current(LINE, TABLE)
    assert found.rows == 3
