"""Rollbacks under load: how long clients still meet the bad version, and whether any is harmed.

The drill of flight_delay, many times: a server process of its own serves the version to go back
to; the bad one is declared, detected by its first answer, and taken back by the same use case,
commit, server and log as in production, while clients ask without a pause. The floor is one poll of
the repository.

    python benchmarks/rollback.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from served_flights import publish_flights

from ml_release.adapters.in_memory import InMemoryEvidence
from ml_release.domain.drill import p95
from ml_release.lines.flight_delay.line import LINE
from ml_release.orchestration.wiring import local_wiring
from ml_release.serving.reconciler import POLL_SECONDS
from ml_release.workflows.drilling import drill
from ml_release.workflows.promotion import Request

GOAL_SECONDS = 5.0


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5 rollbacks instead of 20")
    rounds = 5 if parser.parse_args().quick else 20
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        console.print("fitting flight_delay twice on January to March 2013")
        flights = publish_flights(Path(folder) / "home", smaller=(80,))
        flights.declare(1)
        flights.declare(2, rollback_target=1)
        wiring = local_wiring(flights.settings)
        record = drill(
            LINE,
            environment="production",
            rounds=rounds,
            request=Request(by="benchmark", reason="measured", run_id="benchmark"),
            server=wiring.trial_server,
            models=wiring.models,
            loader=wiring.loader,
            online=wiring.online,
            evidence=InMemoryEvidence(),
            deployments=wiring.deployments,
            clock=wiring.clock,
            progress=lambda done, total: console.print(f"rollback {done} of {total}"),
        ).record
    silent, restored = record.silent_p95_s(), record.restored_p95_s()
    measured = {
        "rollbacks": len(record.rounds),
        "versions": [record.released, record.restored],
        "requests": sum(one.requests for one in record.rounds),
        "failed": record.failed,
        "detection_p95_s": _rounded(p95(one.detection_s for one in record.rounds)),
        "commit_p95_s": _rounded(p95(one.commit_s for one in record.rounds)),
        "restored_p95_s": _rounded(restored),
        "silent_p95_s": _rounded(silent),
        "poll_s": POLL_SECONDS,
    }
    document = {
        "benchmark": "rollback",
        "measured": measured,
        "goals": {"failed": 0, "silent_p95_s": f"below {GOAL_SECONDS:g}"},
        "met": not record.failed
        and not record.is_same_model
        and restored is not None
        and silent is not None
        and silent < GOAL_SECONDS,
    }
    print(json.dumps(document))
    return 0 if document["met"] else 1


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


if __name__ == "__main__":
    sys.exit(main())
