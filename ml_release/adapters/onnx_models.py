"""Runs model artefacts with onnxruntime: the same code answers in evaluation and when serving."""

from __future__ import annotations

import json
import struct
import threading
from typing import TYPE_CHECKING

import numpy as np

from ml_release.domain.artefact import (
    CLASSES,
    MODEL_FILE,
    PLAN_FILE,
    SIGNATURE_FILE,
    signature_from_json,
)
from ml_release.domain.features import FeaturePlan, encode, plan_from_json
from ml_release.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    import onnxruntime

    from ml_release.domain.artefact import OutputKind
    from ml_release.domain.features import Columns


class OnnxModel:
    """`LoadedModel` on one onnxruntime session, safe to call from several threads."""

    platform = "onnxruntime_onnx"

    def __init__(
        self,
        plan: FeaturePlan,
        session: onnxruntime.InferenceSession,
        *,
        output: OutputKind,
        classes: int = 0,
    ) -> None:
        self._plan = plan
        self._session = session
        self._output = output
        self._classes = classes
        # Several classes are asked for as columns only.
        self._row = None if classes else _Row(session, output, len(plan.features))

    @property
    def plan(self) -> FeaturePlan:
        """The feature plan it was fitted with."""
        return self._plan

    def predict(self, values: Columns) -> npt.NDArray[np.float64]:
        """As `LoadedModel`, shape (n,) or (n, k)."""
        matrix = encode(self._plan, values)
        (answers,) = self._session.run([self._output], {"matrix": matrix})
        shape = (len(matrix), self._classes) if self._classes else (len(matrix),)
        # A graph that gives more than it declares fails here: no number of it is left out.
        result: npt.NDArray[np.float64] = np.asarray(answers, dtype=np.float64).reshape(shape)
        return result

    def predict_row(self, encoded: Sequence[float]) -> float:
        """As `predict`, of one encoded row; of several classes there is no one answer."""
        if self._row is None:
            message = (
                f"expected a model of one answer per row, found one of {self._classes} classes"
            )
            raise TypeError(message)
        return self._row.predict(encoded)

    def predict_rows(self, encoded: Sequence[Sequence[float]]) -> list[float]:
        """The same bits as `predict_row` of each row: the compiler writes graphs that give them."""
        matrix = np.array(encoded, dtype=np.float64)
        (answers,) = self._session.run([self._output], {"matrix": matrix})
        found: list[float] = np.asarray(answers, dtype=np.float64).reshape(len(matrix)).tolist()
        return found


class _Row:
    """One row of input and its answer, at places that stay the same.

    onnxruntime reads and writes there, which saves a third of what one row costs: handing over an
    array, checking its name, making another.
    """

    def __init__(self, session: onnxruntime.InferenceSession, output: str, width: int) -> None:
        from onnxruntime import OrtValue

        self._session = session
        self._lock = threading.Lock()
        self._input = np.zeros((1, width))
        # Writes floats where they belong; numpy would make an array of them first.
        self._write = struct.Struct(f"{width}d").pack_into
        self._place = self._input.data
        (answer,) = session.run([output], {"matrix": self._input})
        self._answer = np.empty_like(answer)
        # On the CPU an OrtValue is the memory of its array.
        self._values = (
            OrtValue.ortvalue_from_numpy(self._input),
            OrtValue.ortvalue_from_numpy(self._answer),
        )
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("matrix", self._values[0])
        self._binding.bind_ortvalue_output(output, self._values[1])

    def predict(self, encoded: Sequence[float]) -> float:
        with self._lock:
            self._write(self._place, 0, *encoded)
            self._session.run_with_iobinding(self._binding)
            return float(self._answer.item())


class OnnxLoader:
    """`ModelLoader`: builds a session from the files of an artefact."""

    def __init__(self, *, threads: int = 1) -> None:
        self._threads = threads

    def load(self, files: Mapping[str, bytes]) -> OnnxModel:
        """Build the model, or say which file does not fit."""
        import onnxruntime

        missing = sorted({MODEL_FILE, PLAN_FILE, SIGNATURE_FILE} - set(files))
        if missing:
            message = f"model artefact: expected also the files {missing}, found {sorted(files)}"
            raise IntegrityError(message)
        plan = plan_from_json(files[PLAN_FILE])
        signature = signature_from_json(files[SIGNATURE_FILE])
        output, classes = signature.output_kind, signature.classes
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                files[MODEL_FILE], options, providers=["CPUExecutionProvider"]
            )
        # onnxruntime's own exceptions share no base below Exception; whatever it cannot read is
        # the same answer to the caller: this is not a model.
        except Exception as error:
            message = f"model artefact: {MODEL_FILE} cannot be loaded by onnxruntime ({error})"
            raise IntegrityError(message) from error
        found = _interface(session)
        expected = (
            ("matrix", "tensor(double)", len(plan.features)),
            (output, len(classes) or 1),
            classes,
        )
        if found != expected:
            message = (
                f"model artefact: expected {MODEL_FILE} to take and give {expected} as {PLAN_FILE}"
                f" and {SIGNATURE_FILE} say, found {found}"
            )
            raise IntegrityError(message)
        return OnnxModel(plan, session, output=output, classes=len(classes))


def _interface(session: onnxruntime.InferenceSession) -> object:
    """Name, type and width of the input, name and width of the output, names of its columns."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        return f"{len(inputs)} inputs and {len(outputs)} outputs"
    taken, given = inputs[0], outputs[0]
    if len(taken.shape) != 2 or len(given.shape) != 2:  # noqa: PLR2004 (rows, columns)
        return f"an input and an output of the shapes {taken.shape} and {given.shape}"
    return (
        (taken.name, taken.type, taken.shape[1]),
        (given.name, given.shape[1]),
        _named_classes(session),
    )


def _named_classes(session: onnxruntime.InferenceSession) -> tuple[object, ...]:
    """As the compiler wrote them into the graph; empty where it wrote none."""
    content = session.get_modelmeta().custom_metadata_map.get(CLASSES, "[]")
    try:
        names = json.loads(content)
    except ValueError:
        return (content,)
    return tuple(names) if isinstance(names, list) else (names,)
