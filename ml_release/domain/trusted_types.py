"""Which types a file of model state may name: numbers, containers and models, nothing that acts.

Such a file names types by module and class, and loading it makes objects of them. A type is on the
list here if making one, and asking it to predict, runs nothing but the code of numpy, scipy and
scikit-learn on the numbers in the file: no functions by name but those listed, no methods, no
partial calls, nothing that reads files (``sklearn.feature_extraction``, ``sklearn.datasets``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NUMBERS = frozenset(
    f"numpy.{name}"
    for name in (
        *("bool", "bool_", "str_", "float16", "float32", "float64"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    )
)
_FUNCTIONS = frozenset(
    {f"numpy.{name}" for name in ("abs", "absolute", "exp", "expm1", "log", "log10", "log1p")}
    | {f"numpy.{name}" for name in ("log2", "sign", "sqrt", "square")}
    | {"scipy._lib.array_api_compat.numpy._aliases.asarray"}
    | {
        f"sklearn.feature_selection._univariate_selection.{name}"
        for name in ("chi2", "f_classif", "f_regression")
    }
)
# By the way a file says an object is to be made: the types that may be made so.
_BY_LOADER: dict[str, frozenset[str]] = {
    "DTypeNode": frozenset({"numpy.dtype"}),
    "DictNode": frozenset(
        {"builtins.dict", "collections.OrderedDict", "sklearn.utils._bunch.Bunch"}
    ),
    "FunctionNode": _FUNCTIONS,
    "JsonNode": frozenset({"builtins.str"}),
    "ListNode": frozenset({"builtins.list"}),
    "NdArrayNode": _NUMBERS | {"numpy.ndarray"},
    "RandomGeneratorNode": frozenset({"numpy.random._generator.Generator"}),
    "RandomStateNode": frozenset({"numpy.random.mtrand.RandomState"}),
    "SetNode": frozenset({"builtins.set"}),
    "SliceNode": frozenset({"builtins.slice"}),
    "SparseMatrixNode": frozenset(
        f"scipy.sparse._{kind}.{kind}_{form}"
        for kind in ("csc", "csr")
        for form in ("array", "matrix")
    ),
    "TreeNode": frozenset({"sklearn.tree._tree.Tree"}),
    "TupleNode": frozenset({"builtins.tuple", "sklearn.impute._iterative._ImputerTriplet"}),
    "TypeNode": _NUMBERS | {f"builtins.{name}" for name in ("bool", "float", "int", "str")},
}
_LOSSES = ("sklearn._loss._loss.", "sklearn.linear_model._sgd_fast.")
_OBJECTS = frozenset({"scipy.interpolate._bsplines.BSpline"})
_PACKAGES = tuple(
    f"sklearn.{name}."
    for name in (
        *("_loss", "calibration", "cluster", "compose", "cross_decomposition", "decomposition"),
        *("discriminant_analysis", "dummy", "ensemble", "feature_selection", "gaussian_process"),
        *("impute", "isotonic", "kernel_approximation", "kernel_ridge", "linear_model", "manifold"),
        *("metrics._dist_metrics", "mixture", "multiclass", "naive_bayes", "neighbors"),
        *("neural_network", "pipeline", "preprocessing", "random_projection"),
        *("semi_supervised", "svm", "tree"),
    )
)


@dataclass(frozen=True, slots=True, order=True)
class NamedType:
    """A type as a file names it, and the way its object is to be made."""

    module: str
    name: str
    loader: str

    @property
    def path(self) -> str:
        """Module and class, as a message shows them."""
        return f"{self.module}.{self.name}"


def named_types(state: Any) -> frozenset[NamedType]:  # noqa: ANN401 (parsed JSON)
    """Every type that a parsed state names, however deep.

    Raises
    ------
    ValueError
        If something to be made is not named by three words.
    """
    return frozenset(_walk(state))


def _walk(state: Any) -> Iterator[NamedType]:  # noqa: ANN401 (parsed JSON)
    waiting = [state]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
            words = [part.get(f"__{key}__") for key in ("module", "class", "loader")]
            if any(word is not None for word in words):
                module, name, loader = words
                if not (
                    isinstance(module, str) and isinstance(name, str) and isinstance(loader, str)
                ):
                    message = f"an object without module, class and loader by name: {words}"
                    raise ValueError(message)
                yield NamedType(module, name, loader)


def untrusted_types(types: Iterable[NamedType]) -> tuple[str, ...]:
    """The types that are not on the list, by path, in alphabetical order.

    >>> untrusted_types([NamedType("builtins", "dict", "DictNode")])
    ()
    >>> untrusted_types([NamedType("os", "system", "FunctionNode")])
    ('os.system',)
    """
    return tuple(sorted({found.path for found in types if not _is_trusted(found)}))


def _is_trusted(found: NamedType) -> bool:
    if found.loader == "LossNode":
        return found.path.startswith(_LOSSES) and _is_class(found.name)
    if found.loader == "ObjectNode":
        is_model = f"{found.module}.".startswith(_PACKAGES) and _is_class(found.name)
        return is_model or found.path in _OBJECTS
    return found.path in _BY_LOADER.get(found.loader, frozenset())


def _is_class(name: str) -> bool:
    """Whether it is one name, written as classes are: no function, no attribute of a class."""
    return name.isidentifier() and name.lstrip("_")[:1].isupper()
