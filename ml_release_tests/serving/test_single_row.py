"""Single rows: what is read, computed and answered is what the vectorised path gives, bit for bit.

Nothing that path refuses is taken, and what it says of a refusal is said word for word.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from ml_release.adapters.onnx_compiler import OnnxCompiler
from ml_release.adapters.skops_compiler import SkopsCompiler
from ml_release.domain.artefact import (
    PLAN_FILE,
    SIGNATURE_FILE,
    InputField,
    Signature,
    signature_of,
)
from ml_release.domain.features import FeaturePlan, Number, encode, feature_values
from ml_release.domain.history_table import HistoryTable, joined_keys, look_up
from ml_release.errors import InputError
from ml_release.serving import protocols
from ml_release.serving.loaders import serving_loader
from ml_release.serving.plain_json import decode_plain
from ml_release.serving.predictions import _readable_rows
from ml_release.serving.row_plan import RowPlan, row_model_of
from ml_release.serving.single_row import RowReader, SingleRow
from ml_release_tests.serving.world import FEATURES, LINE, ROW, v2_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from ml_release.domain.features import Columns

PLAN = FeaturePlan(features=FEATURES, vocabularies={"carrier": ("UA", "DL", "é")})
SIGNATURE = signature_of(LINE, PLAN, output="probability_late")
STRICT = Signature(
    line=LINE,
    inputs=tuple(field.model_copy(update={"nullable": False}) for field in SIGNATURE.inputs),
    output="probability_late",
)

numbers = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
)
words = st.one_of(
    st.none(), st.sampled_from(["UA", "DL", "é", "", "a|b", "\\", "x" * 257]), st.text(max_size=5)
)
times = st.one_of(
    st.datetimes().map(datetime.isoformat),
    st.dates().map(lambda day: day.isoformat()),
    st.sampled_from(["2013-10-01T06:30", "2013-10-01T06:30:00Z", "yesterday", "0001-01-01"]),
    st.none(),
    st.text(max_size=5),
)
loose = st.fixed_dictionaries({"distance": numbers, "carrier": words, "departure": times})
rows = st.fixed_dictionaries(
    {
        "distance": st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
        "carrier": st.one_of(st.none(), st.text(st.characters(codec="ascii"), max_size=4)),
        "departure": st.datetimes(),
    }
)
datatypes = st.sampled_from(["FP64", "FP32", "INT64", "UINT8", "BYTES", "BOOL"])


class Unsure(RowReader):
    """Leaves every row to the vectorised path."""

    def of_body(self, body: bytes) -> None:
        return None

    def of_values(self, given: Any) -> None:
        return None

    def of_tensors(self, tensors: Any) -> None:
        return None


@contextmanager
def vectorised() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(protocols, "reader_of", Unsure)
        patched.setattr(protocols, "decode_plain", lambda _body: None)
        yield


def bits(columns: Columns) -> list[tuple[str, str, object]]:
    """Names, types and values, with every bit of a number."""
    return [
        (name, column.dtype.str, column.tolist() if column.dtype == object else column.tobytes())
        for name, column in columns.items()
    ]


def read(decode: Callable[[bytes, Signature], Any], body: bytes, signature: Signature) -> object:
    try:
        request = decode(body, signature)
    except InputError as error:
        return str(error)
    return bits(request.columns), request.rows, request.request_id


@settings(max_examples=400, deadline=None)
@given(
    row=loose,
    types=st.tuples(datatypes, datatypes, datatypes),
    shape=st.sampled_from([[1], [1, 1], [2], []]),
    times_given=st.integers(0, 2),
    signature=st.sampled_from([SIGNATURE, STRICT]),
)
def test_a_request_of_protocol_v2_is_read_alike(
    row: dict[str, Any],
    types: tuple[str, ...],
    shape: list[int],
    times_given: int,
    signature: Signature,
) -> None:
    """The same columns, or the same refusal, whatever a client writes."""
    document = v2_body([row], id="r-1")
    for tensor, datatype in zip(document["inputs"], types, strict=True):
        if datatype != "BOOL":
            tensor["datatype"] = datatype
        tensor["shape"] = shape
    document["inputs"] = [*document["inputs"][1:], *document["inputs"][:1] * times_given]
    body = json.dumps(document).encode()
    with vectorised():
        expected = read(protocols.decode_infer, body, signature)
    assert read(protocols.decode_infer, body, signature) == expected


def in_order(row: dict[str, Any], signature: Signature = SIGNATURE, **more: object) -> bytes:
    """What most clients send: FP64 and BYTES, in the order of the signature."""
    names = [field.name for field in signature.inputs]
    document = v2_body([{name: row[name] for name in names}], **more)
    for tensor in document["inputs"]:
        tensor["datatype"] = "FP64" if tensor["name"] == "distance" else "BYTES"
    return json.dumps(document).encode()


@settings(max_examples=400, deadline=None)
@given(
    row=loose,
    signature=st.sampled_from([SIGNATURE, STRICT]),
    request_id=st.one_of(st.none(), st.text(max_size=3)),
)
def test_a_request_of_the_usual_form_is_read_alike(
    row: dict[str, Any], signature: Signature, request_id: str | None
) -> None:
    """Decoded into its fields at once, it has the same columns, or gets the same refusal."""
    body = in_order(row, signature, id=request_id)
    with vectorised():
        expected = read(protocols.decode_infer, body, signature)
    assert read(protocols.decode_infer, body, signature) == expected


def changed(field: str, **changes: object) -> bytes:
    document = json.loads(in_order(ROW))
    for tensor in document["inputs"]:
        if tensor["name"] == field:
            tensor.update(changes)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(in_order({**ROW, "carrier": "é"}), id="an escape"),
        pytest.param(changed("carrier", data=["x" * 257]), id="a long word"),
        pytest.param(changed("carrier", datatype="FP64"), id="a word as a number"),
        pytest.param(changed("distance", datatype="INT64"), id="a whole number"),
        pytest.param(changed("distance", data=[2**53 + 1]), id="a number that is rounded"),
        pytest.param(changed("distance", data=[True]), id="a truth value"),
        pytest.param(changed("distance", data=[1.0, 2.0]), id="two values"),
        pytest.param(changed("distance", data=None), id="no values"),
        pytest.param(changed("distance", shape=[1, 1]), id="two dimensions"),
        pytest.param(changed("distance", shape=[2]), id="a wrong shape"),
        pytest.param(changed("distance", parameters={}), id="parameters of a tensor"),
        pytest.param(changed("distance", name="far"), id="an unknown field"),
        pytest.param(changed("departure", data=["yesterday"]), id="no time"),
        pytest.param(changed("departure", data=["2013-10-01T06:30:00Z"]), id="a time in a zone"),
        pytest.param(in_order(ROW, outputs=[]), id="outputs"),
        pytest.param(in_order(ROW, parameters={}), id="parameters"),
        pytest.param(json.dumps(v2_body([ROW, ROW])).encode(), id="two rows"),
        pytest.param(b'{"inputs": []}', id="no tensors"),
        pytest.param(b'{"inputs": ' + b"[" * 100_000, id="a deep one"),
        pytest.param(in_order(ROW)[:-1], id="half of one"),
    ],
)
def test_every_other_form_is_left_to_the_general_way(body: bytes) -> None:
    """It decides, and finds the words."""
    assert RowReader(SIGNATURE).of_body(body) is None


def test_the_usual_form_is_decoded_at_once() -> None:
    """With whole numbers in the place of floats, missing values and an id, too."""
    reader = RowReader(SIGNATURE)
    for body in (in_order(ROW), changed("distance", data=[733]), changed("carrier", data=[None])):
        assert reader.of_body(body) is not None
    decoded = reader.of_body(in_order(ROW, id="r-1"))
    assert decoded is not None
    row, request_id = decoded
    assert (row.cells["distance"], row.cells["carrier"], request_id) == (733.0, "UA", "r-1")


@settings(max_examples=400, deadline=None)
@given(
    row=loose,
    form=st.sampled_from(["dataframe_records", "instances", "inputs", "dataframe_split"]),
    is_ascii=st.booleans(),
    signature=st.sampled_from([SIGNATURE, STRICT]),
)
def test_a_request_in_a_format_of_mlflow_is_read_alike(
    row: dict[str, Any], form: str, is_ascii: bool, signature: Signature
) -> None:
    """As above, with and without escapes in the text."""
    content: Any = [row]
    if form == "inputs":
        content = {name: [value] for name, value in row.items()}
    if form == "dataframe_split":
        content = {"columns": list(row), "data": [list(row.values())]}
    body = json.dumps({form: content}, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    with vectorised():
        expected = read(protocols.decode_invocations, body, signature)
    assert read(protocols.decode_invocations, body, signature) == expected


def test_usual_requests_take_the_short_way() -> None:
    """Otherwise the tests above would compare one path with itself."""
    bodies = {
        protocols.decode_infer: v2_body([ROW]),
        protocols.decode_invocations: {"dataframe_records": [{**ROW, "distance": None}]},
    }
    for decode, document in bodies.items():
        request = decode(json.dumps(document).encode(), SIGNATURE)
        assert isinstance(request.columns, SingleRow)


tables = st.one_of(
    st.none(),
    st.builds(
        lambda values, default: HistoryTable(
            as_of="2013-10-01", values={"carrier_rate": values}, defaults={"carrier_rate": default}
        ),
        st.dictionaries(st.sampled_from(["UA", "", "a\\|b", "\\\\"]), st.floats(0, 1)),
        st.one_of(st.none(), st.floats(0, 1)),
    ),
)


@settings(max_examples=400, deadline=None)
@given(row=rows, table=tables)
def test_features_of_a_row_equal_those_of_columns(
    row: dict[str, Any], table: HistoryTable | None
) -> None:
    """Readable values, codes and misses, for any time, word and number."""
    single = SingleRow(row, {field.name: field.type for field in SIGNATURE.inputs})
    prepared = RowPlan(PLAN).prepare(single, table)
    columns = dict(single)
    found, misses = look_up(PLAN.history_features, table, columns)
    values = feature_values(FEATURES, {**columns, **found})
    assert [prepared.readable] == _readable_rows(values)
    assert np.array([prepared.encoded]).tobytes() == encode(PLAN, values).tobytes()
    assert prepared.misses == misses.item()


@given(parts=st.lists(st.text(st.characters(exclude_characters="\0"), max_size=3), min_size=2))
def test_keys_of_several_columns_are_joined_alike(parts: list[str]) -> None:
    """Also those that hold the separator, or what escapes it."""
    names = tuple(f"k{i}" for i in range(len(parts)))
    columns = {
        name: np.array([part], dtype=object) for name, part in zip(names, parts, strict=True)
    }
    (key,) = joined_keys(columns, names).tolist()
    table = HistoryTable(as_of="2013-10-01", values={"rate": {key: 0.25}}, defaults={})
    plan = FeaturePlan(
        features=({"kind": "history", "name": "rate", "keys": names},),  # type: ignore[arg-type]
        vocabularies={},
    )
    row = SingleRow(dict(zip(names, parts, strict=True)), dict.fromkeys(names, "string"))
    assert RowPlan(plan).prepare(row, table).encoded == [0.25]


def fitted(estimator: Any) -> Any:
    generator = np.random.default_rng(3)
    matrix = generator.normal(size=(300, 4))
    return estimator.fit(matrix, (matrix.sum(axis=1) > 0).astype(int)), matrix


@pytest.mark.parametrize("compiler", [OnnxCompiler, SkopsCompiler])
@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=20, random_state=1),
        RandomForestClassifier(n_estimators=5, random_state=1),
        LogisticRegression(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_a_model_answers_a_row_as_it_answers_columns(compiler: Any, estimator: Any) -> None:
    """Each of 300 rows alone, in both ways, in turn."""
    model, matrix = fitted(estimator)
    names = ("a", "b", "c", "d")
    plan = FeaturePlan(
        features=tuple(Number(name=name, column=name) for name in names), vocabularies={}
    )
    signature = signature_of(LINE, plan, output="p")
    loaded = serving_loader().load(
        {
            **compiler().model_files(model),
            PLAN_FILE: plan.model_dump_json().encode(),
            SIGNATURE_FILE: signature.to_json(),
        }
    )
    row_model = row_model_of(loaded, signature)
    assert row_model is not None
    for values in matrix:
        cells = dict(zip(names, values.tolist(), strict=True))
        row = SingleRow(cells, dict.fromkeys(names, "number"))
        assert row_model.predict(row, None)[1].hex() == loaded.predict(row).item().hex()


def test_a_plan_that_needs_other_fields_is_left_to_columns() -> None:
    """The vectorised path says what does not fit."""
    model = type(
        "Model", (), {"plan": PLAN, "platform": "none", "predict": len, "predict_row": len}
    )()
    other = SIGNATURE.model_copy(
        update={"inputs": (InputField(name="distance", type="string", nullable=True),)}
    )
    assert row_model_of(model, SIGNATURE) is not None
    assert row_model_of(model, other) is None


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(document=st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_plain_json_is_read_as_by_the_standard_library(document: dict[str, Any]) -> None:
    """Or not at all; infinities are not."""
    body = json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass")
    assert decode_plain(body) in (None, json.loads(body) if b"Infinity" not in body else None)


@given(
    names=st.lists(st.sampled_from("abc"), min_size=1, max_size=5),
    value=st.sampled_from(['"x"', "1", '["y", {"a": 1}]', "{}"]),
)
def test_a_name_that_is_given_twice_is_not_plain(names: list[str], value: str) -> None:
    """At any depth: the fast decoder alone would keep the last one."""
    inner = "{" + ", ".join(f'"{name}": {value}' for name in names) + "}"
    body = f'{{"rows": [{inner}]}}'.encode()
    assert (decode_plain(body) is None) == (len(set(names)) < len(names))


def test_a_missing_number_is_nan_in_its_column() -> None:
    """And the other cells are arrays of one value of their type."""
    row = SingleRow(
        {"distance": None, "carrier": None, "departure": datetime(2013, 10, 1)},  # noqa: DTZ001
        {field.name: field.type for field in SIGNATURE.inputs},
    )
    assert math.isnan(row["distance"].item())
    assert row["carrier"].tolist() == [None]
    column: npt.NDArray[Any] = row["departure"]
    assert column.dtype == np.dtype("datetime64[us]")
