"""Swaps of the served version under continuous load: what clients see of them.

A server process of its own serves the real model of flight_delay; versions 1 and 2 are declared in
turn by commits to the deployments repository, each as soon as the one before answers, with the
other kept warm. Clients ask without a pause. The floor of a swap is one poll of the repository.

    python benchmarks/swaps.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from served_flights import publish_flights

from ml_release.serving.reconciler import POLL_SECONDS
from ml_release.serving.variant_counts import nearest_rank

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from ml_release_tests.serving.swapping import swap_under_load  # noqa: E402 (found by the line above)
from ml_release_tests.serving.world import World  # noqa: E402

GOAL_SECONDS = 1.0


def main() -> int:
    """Measure, and print one JSON line; return 0 if the goals are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 swaps instead of 100")
    swaps = 20 if parser.parse_args().quick else 100
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        console.print("fitting flight_delay twice on January to March 2013")
        flights = publish_flights(home, smaller=(80,))
        flights.declare(1, rollback_target=2)
        console.print(f"{swaps} swaps")
        with World.at(home).server() as (url, _):
            seen = swap_under_load(
                url,
                lambda version: flights.declare(version, rollback_target=3 - version),
                swaps=swaps,
                path=f"/v2/models/{flights.line}/infer",
                row=flights.raw[0],
            )
    measured = {
        "swaps": swaps,
        "answers": seen.answers,
        "failed": len(seen.failed),
        "misplaced": len(seen.misplaced),
        "first_answer_p50_s": round(nearest_rank(seen.first_s, 0.5) or 0, 3),
        "first_answer_p95_s": round(nearest_rank(seen.first_s, 0.95) or 0, 3),
        "last_answer_p95_s": round(nearest_rank(seen.last_s, 0.95) or 0, 3),
        "poll_s": POLL_SECONDS,
    }
    document = {
        "benchmark": "swaps",
        "measured": measured,
        "goals": {
            "failed": 0,
            "misplaced": 0,
            "first_answer_p95_s": f"below {GOAL_SECONDS:g}",
            "last_answer_p95_s": f"below {GOAL_SECONDS:g}",
        },
        "met": not seen.failed
        and not seen.misplaced
        and measured["first_answer_p95_s"] < GOAL_SECONDS
        and measured["last_answer_p95_s"] < GOAL_SECONDS,
    }
    print(json.dumps(document))
    return 0 if document["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
