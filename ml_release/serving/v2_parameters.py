"""The ``parameters`` of a request of the Open Inference Protocol v2.

The protocol lets a server pass over those it doesn't know. Some would change the answer: to pass
over them is to answer another question, so they are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ml_release.errors import InputError
from ml_release.serving.binary_tensors import BinaryWish

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Parameters = dict[str, Any]

_REFUSED = {
    "shared_memory_region": "tensors in the body: this server shares no memory with its clients",
    "classification": "probabilities or values: this server sorts no classes",
    "sequence_id": "requests that stand alone: this server keeps no state between them",
}


def require_supported(subject: str, parameters: Parameters | None) -> None:
    """Raise `InputError` for a parameter that asks for what is not done here."""
    for name in parameters or ():
        if name in _REFUSED:
            message = f"{subject}: expected {_REFUSED[name]}; found the parameter {name!r}"
            raise InputError(message)
    if parameters and parameters.get("content_type") == "base64":
        message = f"{subject}: expected words as they are, found content_type base64"
        raise InputError(message)


def binary_wish(
    parameters: Parameters | None, outputs: Iterable[tuple[str, Parameters | None]]
) -> BinaryWish | None:
    """Which outputs are to be binary data, None if none.

    Parameters
    ----------
    parameters
        Of the request.
    outputs
        Name and parameters of each output that was asked for.
    """
    others = _truth("binary_data_output", parameters, default=False)
    named = {name: _truth("binary_data", of_output, default=others) for name, of_output in outputs}
    if not others and not any(named.values()):
        return None
    return BinaryWish(others=others, named=named)


def _truth(name: str, parameters: Mapping[str, Any] | None, *, default: bool) -> bool:
    value = (parameters or {}).get(name, default)
    if type(value) is not bool:
        message = f"parameter {name}: expected true or false, found {str(value)[:40]!a}"
        raise InputError(message)
    return value
