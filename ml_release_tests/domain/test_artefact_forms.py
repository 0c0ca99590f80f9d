"""Forms of artefact files: what could be a pickle has none of them."""

from __future__ import annotations

import io
import pickle
import zipfile

import pytest

from ml_release.domain.artefact_forms import form_problem


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"{}")
    return buffer.getvalue()


GOOD = {
    "model.onnx": b"\x08\x0a",
    "model.skops": archive("schema.json", "1.npy", "2.npz"),
    "plan.json": b'{"a": 1}',
}


@pytest.mark.parametrize("name", GOOD)
def test_a_known_form_is_let_through(name: str) -> None:
    """Graph, archive, object."""
    assert form_problem({name: GOOD[name]}) is None


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [{}, [], 1, "{", b"PK\x03\x04", print, None, 1.5])
def test_a_pickle_has_no_form(name: str, protocol: int, value: object) -> None:
    """Of any protocol, in the place of any file."""
    problem = form_problem({**GOOD, name: pickle.dumps(value, protocol=protocol)})
    assert problem is not None
    assert problem.startswith(f"{name}: expected ")
    if protocol >= 2:
        assert problem.endswith("found a Python pickle")


@pytest.mark.parametrize(
    "name", ["model.pkl", "model.joblib", "model.pt", "model", "model.onnx.pickle", ".onnx"]
)
def test_a_name_without_a_known_form_is_a_problem(name: str) -> None:
    """Whatever it holds."""
    for content in GOOD.values():
        assert "expected one of the forms .json, .onnx, .skops" in str(
            form_problem({name: content})
        )


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"PK\x03\x04 and nothing", "no archive"),
        (archive("schema.json", "data.pkl"), "one with data.pkl in it"),
        (archive("archive/data.pkl"), "one with archive/data.pkl in it"),
        (archive("schema.json", "code.py"), "one with code.py in it"),
    ],
)
def test_an_archive_holds_what_skops_writes(content: bytes, found: str) -> None:
    """A pickle can hide in an archive, as in the files of other libraries."""
    assert found in str(form_problem({"model.skops": content}))


def test_the_first_file_without_a_form_is_named() -> None:
    """In the order of the names."""
    assert str(form_problem({**GOOD, "z.json": b"[", "a.json": b"["})).startswith("a.json: ")
