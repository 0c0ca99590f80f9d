"""The process of a variant with a fault planted in its model: what the environment FAULT says."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from ml_release.serving import variant_process
from ml_release.serving.loaders import serving_loader

if TYPE_CHECKING:
    from collections.abc import Mapping

FAULT = os.environ.get("FAULT", "none")
"""raise, nan, hang, slow, memory, crash or exit: when asked; crash-loading: when loaded."""


class FaultyModel:
    """Answers its example, and misbehaves from the second question on."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._asked = 0
        self.platform = real.platform
        self.plan = real.plan

    def predict(self, values: Any) -> Any:
        self._asked += 1
        answer = self._real.predict(values)
        if self._asked == 1 or FAULT == "none":
            return answer
        if FAULT == "raise":
            message = "planted"
            raise RuntimeError(message)
        if FAULT == "nan":
            return answer * np.nan
        if FAULT == "hang":
            time.sleep(3600)
        if FAULT == "slow":
            time.sleep(0.4)
        if FAULT == "memory":
            kept = [np.ones(1 << 24) for _ in range(64)]
            return answer * len(kept)
        if FAULT == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if FAULT == "exit":
            os._exit(7)
        return answer


class FaultyLoader:
    def load(self, files: Mapping[str, bytes]) -> Any:
        if FAULT == "crash-loading":
            os.kill(os.getpid(), signal.SIGSEGV)
        return FaultyModel(serving_loader().load(files))


if __name__ == "__main__":
    variant_process.serving_loader = FaultyLoader  # type: ignore[attr-defined]
    variant_process.main(sys.argv[1:])
