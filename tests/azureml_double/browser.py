"""Plain requests to the double, as the SDK would send them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import requests

from . import AzureMLDouble
from .workspace import API_URL


class Browser:
    """Plain requests to the double, through its proxy."""

    def __init__(self, double: AzureMLDouble) -> None:
        """Use the double's proxy and certificate instead of the environment's."""
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.proxies = {"https": f"http://127.0.0.1:{double.port}"}
        self._session.verify = str(double.ca_file)
        self.scope = double.workspace_coordinates.scope
        self.experiment_url = f"{API_URL}/history/v1.0{self.scope}/experiments/double-experiment"

    def ask(self, method: str, url: str, token: str | None = None, **more: Any) -> Any:
        """Send a request."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers.update(more.pop("headers", {}))
        return self._session.request(method, url, headers=headers, timeout=30, **more)

    def reserve(self, token: str, run_id: str, *paths: str) -> Any:
        """Reserve names of artifacts."""
        url = f"{API_URL}/artifact/v2.0{self.scope}/artifacts/batch/metadata"
        url += f"/ExperimentRun/dcid.{run_id}"
        answer = self.ask("POST", url, token, json={"paths": [{"path": path} for path in paths]})
        assert answer.status_code == HTTPStatus.OK, answer.text
        return answer.json()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
