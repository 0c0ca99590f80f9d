"""Rebuild a version in this process: ``python -m ml_release.cli.rebuild_process``.

Reads the home folder and the landing zone that the environment names, and writes to one folder
only: scratch tables, scratch models, and at the end the answer or the error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ml_release.errors import MlReleaseError
from ml_release.settings import read_settings, refuse_telemetry

ANSWER_FILE = "rebuild.json"
ERROR_FILE = "error.json"


def main(line: str, version: str, tolerance: str, folder: str) -> None:
    """Rebuild, tell the steps on standard output as JSON lines, and leave the answer behind."""
    from ml_release.adapters.delta_tables import DeltaTables
    from ml_release.adapters.model_files import ModelFiles
    from ml_release.adapters.model_signatures import ModelSignatures
    from ml_release.adapters.signing_keys import SigningKeys
    from ml_release.definitions import find_line
    from ml_release.orchestration.wiring import local_wiring
    from ml_release.workflows.rebuilding import Scratch, rebuild_version

    refuse_telemetry()
    wiring = local_wiring(read_settings())
    scratch = Path(folder)

    def tell(step: str, done: int, total: int) -> None:
        print(json.dumps({"step": step, "done": done, "total": total}), flush=True)

    try:
        answer = rebuild_version(
            find_line(line),
            int(version),
            landing=wiring.landing,
            evidence=wiring.evidence,
            models=wiring.models,
            registry=wiring.registry,
            loader=wiring.loader,
            workplace=wiring.workplace,
            scratch=Scratch(
                tables=DeltaTables(scratch / "lake"),
                models=ModelFiles(
                    scratch / "models", ModelSignatures(SigningKeys(scratch / "keys"))
                ),
                compiler=wiring.compiler,
            ),
            tolerance=float(tolerance),
            progress=tell,
        )
    except MlReleaseError as error:
        document = {"kind": type(error).__name__, "message": str(error)}
        (scratch / ERROR_FILE).write_text(json.dumps(document), encoding="utf-8")
        sys.exit(1)
    (scratch / ANSWER_FILE).write_text(answer.model_dump_json(indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
