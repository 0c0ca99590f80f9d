"""The endpoint server as seen by a client over HTTP."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

from ml_release.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_NOT_TOLD = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)


def trusting(certificate: Path) -> ssl.SSLContext:
    """Trust a server that shows this very certificate, whatever address it is reached at."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class HttpEndpoint:
    """`EndpointClient` at one address; keeps connections open, safe to use from threads.

    Parameters
    ----------
    token
        Access token with the scopes that are needed; None sends none.
    certificate
        Of the server, if it is one of ours; None trusts who everybody trusts.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        token: str | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._client = httpx.Client(
            base_url=url,
            timeout=timeout_seconds,
            trust_env=False,
            headers={} if token is None else {"authorization": f"Bearer {token}"},
            verify=True if certificate is None else trusting(certificate),
        )

    def invoke(
        self, line: str, body: bytes, *, request_id: str, event_time: str, unit: str | None = None
    ) -> tuple[int, str]:
        """Ask for a prediction in MLflow's scoring protocol."""
        headers = {
            "content-type": "application/json",
            "x-request-id": request_id,
            "x-event-time": event_time,
            **({} if unit is None else {"x-unit-id": unit}),
        }
        return self._post(f"/models/{line}/invocations", content=body, headers=headers)

    def is_ready(self, line: str) -> bool:
        """Ask the route of the Open Inference Protocol."""
        try:
            status = self._client.get(f"/v2/models/{line}/ready").status_code
        except httpx.HTTPError as error:
            message = f"endpoint {self._client.base_url}: nothing answers ({error})"
            raise UnavailableError(message) from error
        if status in _NOT_TOLD:
            message = f"endpoint {self._client.base_url}: expected to be told, found {status}"
            raise UnavailableError(message)
        return status == httpx.codes.OK

    def tell_labels(self, line: str, labels: Sequence[Mapping[str, object]]) -> tuple[int, str]:
        """Tell late labels by request id."""
        return self._post(f"/models/{line}/labels", json={"labels": list(labels)})

    def switch(self, line: str, pull: Mapping[str, object]) -> tuple[int, str]:
        """Pull or release the kill switch of a line."""
        return self._post(f"/models/{line}/kill-switch", json=dict(pull))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _post(
        self,
        path: str,
        *,
        content: bytes | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        try:
            answer = self._client.post(path, content=content, json=json, headers=headers)
        except httpx.HTTPError as error:
            message = (
                f"endpoint {str(self._client.base_url).rstrip('/')}{path}: no answer ({error})."
                " Is the endpoint server running? Start it with `ml-release serve`."
            )
            raise UnavailableError(message) from error
        return answer.status_code, answer.text
