"""Fetch what a package needs of a version from a running server, over its REST API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tensortrigger_backend.domain.aliases import LATEST
from tensortrigger_backend.domain.errors import NotFound, TensorTriggerError, Unavailable
from tensortrigger_backend.domain.models import parse_reference
from tensortrigger_backend.packing.context import Packaged, must_run_without_tensorflow

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class Server:
    """A running server.

    Args:
        key: an API key that may read; None on a server without keys.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._url = url
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT)

    def fetch(self, reference: str, folder: Path) -> Packaged:
        """What ``name``, ``name@alias`` or ``name/3`` means now; its files lie in ``folder``.

        Raises:
            InvalidInput: no such form of a name, or the model needs TensorFlow.
            NotFound: there is no such model.
            Unavailable: the server does not answer.
        """
        named = parse_reference(reference)
        # The newest version has no alias of that name, nor may the packaged one have it.
        alias = None if named.alias == LATEST else named.alias
        path = f"/models/by-name/{quote(named.name)}"
        if alias is not None:
            pointed = self._json(f"{path}/aliases/{quote(alias)}")["alias"]
            path = f"/models/{quote(pointed['model_id'])}"
        elif named.alias == LATEST:
            newest = self._json(f"/models?name={quote(named.name)}&state=ready&limit=1")["models"]
            path = f"/models/{quote(newest[0]['model_id'])}" if newest else path
        elif named.version is not None:
            path += f"/versions/{named.version}"
        model = self._json(path)["model"]
        must_run_without_tensorflow(model)
        below = f"/models/{quote(model['model_id'])}"
        servable = self._file(f"{below}/servable", folder / "servable")
        receipt = example = None
        if model.get("receipt") is not None:
            receipt = self._json(f"{below}/receipt")["receipt"]
            example = self._file(f"{below}/example", folder / "example.npz")
        return Packaged(reference, alias, model, receipt, servable, example)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _json(self, path: str) -> Any:
        try:
            answer = self._client.get(path)
            if answer.is_success:
                return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._away(error) from error
        raise _told(answer)

    def _file(self, path: str, target: Path) -> Path:
        try:
            with self._client.stream("GET", path) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _told(answer)
                with target.open("wb") as copy:
                    for block in answer.iter_bytes(1 << 20):
                        copy.write(block)
        except httpx.HTTPError as error:
            raise self._away(error) from error
        return target

    def _away(self, error: Exception) -> Unavailable:
        return Unavailable(f"The server at {self._url} does not answer: {error}.")


def _told(answer: httpx.Response) -> TensorTriggerError:
    """The server's own words."""
    try:
        detail = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        detail = f"The server answered {answer.status_code} to {answer.request.url.path}."
    return NotFound(detail) if answer.status_code == httpx.codes.NOT_FOUND else TensorTriggerError(detail)
