"""Which datatypes of the Open Inference Protocol v2 a field takes, and which one it is named by."""

from __future__ import annotations

TENSOR_TYPES = {
    "number": frozenset(
        {f"FP{bits}" for bits in (16, 32, 64)}
        | {f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)}
    ),
    "string": frozenset({"BYTES"}),
    "timestamp": frozenset({"BYTES"}),
}
DATATYPE = {"number": "FP64", "string": "BYTES", "timestamp": "BYTES"}
