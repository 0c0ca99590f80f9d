"""Builds one ONNX graph, from the matrix of encoded features to one answer per row, in float64."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import numpy as np

from ml_release.domain.artefact import CLASSES, FEWEST_CLASSES, TWO_CLASSES, class_names
from ml_release.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ml_release.domain.artefact import OutputKind

MATRIX = "matrix"
FLOAT32_LIMIT = 2.0**128 - 2.0**103
"""From this magnitude on, a float64 becomes infinite as float32 (half beyond the largest one)."""

CLIP = 1e-15
"""How near to 0 and 1 a probability may come before its log-odds are taken."""

_AT_A_TIME = 8
"""The most values of float64 that a processor takes at a time (AVX-512)."""

_ONNX_OPSET = 18
_ONNX_ML_OPSET = 5
_IR_VERSION = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a written estimator answers.

    Attributes
    ----------
    tensor
        Name of a tensor of shape (n, 1), or (n, k) of ``margins`` and ``probabilities`` of k
        classes.
    scale
        ``margin`` becomes a probability by the logistic function of ``slope`` times it, and
        ``margins`` become probabilities by the softmax.
    """

    tensor: str
    scale: Literal["margin", "margins", "probability", "probabilities", "value"]
    slope: float = 1.0


class Graph:
    """Nodes and constants in the order they are added; the input is ``matrix`` (n, width)."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._doubts: list[str] = []

    def constant(self, values: npt.ArrayLike, *, kind: type[np.generic] = np.float64) -> str:
        """Name of a constant tensor."""
        from onnx import numpy_helper

        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values, dtype=kind), name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one output; return the output's name."""
        from onnx import helper

        name = f"t{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    def columns(self, matrix: str, positions: Sequence[int]) -> str:
        """Some columns of a matrix."""
        return self.node("Gather", matrix, self.constant(positions, kind=np.int64), axis=1)

    def to_float(self, truths: str) -> str:
        """1.0 for true, 0.0 for false."""
        from onnx import TensorProto

        return self.node("Cast", truths, to=TensorProto.DOUBLE)

    def row_sum(self, matrix: str) -> str:
        """Sum of every row, shape (n, 1)."""
        return self.node("ReduceSum", matrix, self.constant([1], kind=np.int64), keepdims=1)

    def row_by_row(self, operator: str, tensor: str, *, columns: int = 1) -> str:
        """A function of every value of a tensor (n, columns), the same to the last bit for any n.

        onnxruntime takes several values at a time, and the few that are left at the end by another
        formula of ``exp`` or ``log``. Rows behind the last one see to it that none is left.
        """
        behind = self.constant(np.full((_AT_A_TIME - 1, columns), 0.5))
        longer = self.node(operator, self.node("Concat", tensor, behind, axis=0))
        start, end, axis = (self.constant([at], kind=np.int64) for at in (0, -(_AT_A_TIME - 1), 0))
        return self.node("Slice", longer, start, end, axis)

    def softmax(self, margins: str, *, columns: int) -> str:
        """exp(x) over its sum, of every row less its largest value as in scikit-learn.

        onnxruntime's own takes several rows at a time, so that a row alone gets other last bits.
        """
        largest = self.node("ReduceMax", margins, self.constant([1], kind=np.int64), keepdims=1)
        powers = self.row_by_row("Exp", self.node("Sub", margins, largest), columns=columns)
        total = self.columns(powers, [0])
        for column in range(1, columns):
            total = self.node("Add", total, self.columns(powers, [column]))
        return self.node("Div", powers, total)

    def clipped(self, matrix: str, lowest: float, highest: float) -> str:
        """Between two bounds; a missing value, which compares with nothing, stays missing."""
        low, high = self.constant([lowest]), self.constant([highest])
        raised = self.node("Where", self.node("Less", matrix, low), low, matrix)
        return self.node("Where", self.node("Greater", raised, high), high, raised)

    def log_odds(self, probability: str) -> str:
        """Log-odds of probabilities, as `margin_of` of a `CalibratedMargin` has them."""
        kept = self.clipped(probability, CLIP, 1 - CLIP)
        rest = self.node("Sub", self.constant([1.0]), kept)
        return self.node("Sub", self.row_by_row("Log", kept), self.row_by_row("Log", rest))

    def require_finite(self, matrix: str, *, allow_missing: bool, limit: float = np.inf) -> None:
        """Answer NaN for the rows that the estimator itself refuses.

        Parameters
        ----------
        allow_missing
            Whether NaN is no reason.
        limit
            Magnitude from which on a value counts as infinite.
        """
        size = self.node("Abs", matrix)
        bound, zero, nan = (self.constant([value]) for value in (limit, 0.0, np.nan))
        if allow_missing:
            doubt = self.node("Where", self.node("GreaterOrEqual", size, bound), nan, zero)
        else:
            doubt = self.node("Where", self.node("Less", size, bound), zero, nan)
        self.doubt(self.row_sum(doubt))

    def doubt(self, rows: str) -> None:
        """Answer NaN where ``rows`` (n, 1) is NaN; it is zero elsewhere."""
        self._doubts.append(rows)

    def to_bytes(self, answer: str, *, output: OutputKind, classes: tuple[str, ...] = ()) -> bytes:
        """The model, the same bytes for the same graph; the columns of ``classes`` are named."""
        from onnx import TensorProto, helper

        *before, last = (answer, *self._doubts)
        for tensor in before:
            last = self.node("Add", last, tensor)
        self._nodes.append(helper.make_node("Identity", [last], [output]))
        double = TensorProto.DOUBLE
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                "ml_release",
                [helper.make_tensor_value_info(MATRIX, double, ["n", self._width])],
                [helper.make_tensor_value_info(output, double, ["n", len(classes) or 1])],
                self._constants,
            ),
            producer_name="ml_release",
            opset_imports=[
                helper.make_opsetid("", _ONNX_OPSET),
                helper.make_opsetid("ai.onnx.ml", _ONNX_ML_OPSET),
            ],
            ir_version=_IR_VERSION,
        )
        if classes:
            helper.set_model_props(model, {CLASSES: json.dumps(classes)})
        content: bytes = model.SerializeToString(deterministic=True)
        return content


def refuse(found: str) -> NoReturn:
    """Say what cannot be written exactly."""
    message = (
        "model compiler: expected a fitted estimator that can be written exactly as ONNX (trees,"
        " forests, gradient boosting and linear models of scikit-learn, alone or behind a"
        " Pipeline; a classifier with the classes 0 and 1 or with three or more), found"
        f" {found}. It cannot be written exactly without code."
    )
    raise DeclarationError(message)


def several_classes(estimator: Any) -> tuple[str, ...]:
    """Names of three classes or more; empty for 0 and 1 in this order; others are refused."""
    names = class_names(estimator.classes_)
    if names == TWO_CLASSES:
        return ()
    if len(names) < FEWEST_CLASSES or len({*names}) < len(names):
        refuse(f"the classes {np.asarray(estimator.classes_).tolist()}")
    return names
