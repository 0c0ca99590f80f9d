"""Which types a file of model state may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_release.domain.trusted_types import NamedType, named_types, untrusted_types

TREES = "sklearn.ensemble._hist_gradient_boosting"


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        ("builtins", "dict", "DictNode"),
        ("builtins", "str", "JsonNode"),
        ("numpy", "ndarray", "NdArrayNode"),
        ("numpy", "float64", "NdArrayNode"),
        ("numpy", "log1p", "FunctionNode"),
        ("numpy.random.mtrand", "RandomState", "RandomStateNode"),
        ("scipy.sparse._csr", "csr_matrix", "SparseMatrixNode"),
        ("sklearn.svm._classes", "SVC", "ObjectNode"),
        ("sklearn.calibration", "_CalibratedClassifier", "ObjectNode"),
        (f"{TREES}.predictor", "TreePredictor", "ObjectNode"),
        ("sklearn.metrics._dist_metrics", "EuclideanDistance64", "ObjectNode"),
        ("sklearn._loss._loss", "CyHalfBinomialLoss", "LossNode"),
        ("sklearn.tree._tree", "Tree", "TreeNode"),
    ],
)
def test_numbers_containers_and_models_are_trusted(module: str, name: str, loader: str) -> None:
    """What predicts, and what it is made of."""
    assert untrusted_types([NamedType(module, name, loader)]) == ()


@pytest.mark.parametrize(
    ("module", "name", "loader"),
    [
        pytest.param("os", "system", "FunctionNode", id="a function that acts"),
        pytest.param("builtins", "eval", "FunctionNode", id="code"),
        pytest.param("builtins", "dict", "ObjectNode", id="trusted, made in another way"),
        pytest.param("numpy", "log1p", "TypeNode", id="function as type"),
        pytest.param("numpy", "load", "FunctionNode", id="a function that reads files"),
        pytest.param("numpy", "float64", "MethodNode", id="a method"),
        pytest.param("functools", "partial", "PartialNode", id="a partial call"),
        pytest.param("builtins", "dict", "DictNodeV0", id="unknown way"),
        pytest.param("_operator", "methodcaller", "OperatorFuncNode", id="operator"),
        pytest.param("sklearn.utils", "check_array", "FunctionNode", id="function of sklearn"),
        pytest.param("sklearn.svm._base", "libsvm", "ObjectNode", id="no class"),
        pytest.param("sklearn.svm._classes", "SVC.fit", "ObjectNode", id="attribute of a class"),
        pytest.param("sklearn.svm_evil", "SVC", "ObjectNode", id="another package"),
        pytest.param("sklearn.datasets._base", "Loader", "ObjectNode", id="reads the network"),
        pytest.param(
            "sklearn.feature_extraction.text", "CountVectorizer", "ObjectNode", id="reads files"
        ),
        pytest.param("lightgbm.sklearn", "LGBMClassifier", "ObjectNode", id="another library"),
        pytest.param("__main__", "Own", "ObjectNode", id="own class"),
    ],
)
def test_everything_else_is_not(module: str, name: str, loader: str) -> None:
    """By path, so that a message can name it; trusted ones beside it change nothing."""
    beside = NamedType("builtins", "dict", "DictNode")
    assert untrusted_types([beside, NamedType(module, name, loader)]) == (f"{module}.{name}",)


names = st.text("abc._XYZ", min_size=1, max_size=8)
leaf = st.one_of(st.none(), st.integers(), names)
node = st.builds(
    lambda module, name, content: {
        "__module__": module,
        "__class__": name,
        "__loader__": "ObjectNode",
        "content": content,
    },
    names,
    names,
    leaf,
)
states = st.recursive(
    node, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)


@given(state=states, module=names, name=names)
def test_a_type_is_found_however_deep(state: object, module: str, name: str) -> None:
    """Wrapped into anything, it is among the types that are named."""
    planted = {"__module__": module, "__class__": name, "__loader__": "FunctionNode"}
    wrapped = {"content": [state, {"more": [[planted]]}]}
    assert named_types(wrapped) == named_types(state) | {NamedType(module, name, "FunctionNode")}


@pytest.mark.parametrize(
    "state",
    [{"__class__": "system"}, {"__module__": "os", "__class__": "system", "__loader__": None}],
)
def test_an_object_without_its_three_words_is_an_error(state: object) -> None:
    """It could not be judged."""
    with pytest.raises(ValueError, match="without module, class and loader"):
        named_types([state])
