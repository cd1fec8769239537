"""The double's services with plain requests: refusals and faults."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest
import requests

from . import AzureMLDouble, Fault
from .browser import Browser
from .workspace import API_URL, ARM_HOST

PUT_HEADERS = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*", "x-ms-version": "2021-08-06"}


class TestTokens:
    """Authorisation."""

    def test_good(self, browser: Browser, token: str, run_id: str) -> None:
        assert self.get_run(browser, token, run_id).status_code == HTTPStatus.OK

    def test_expired(self, double: AzureMLDouble, browser: Browser, run_id: str) -> None:
        expired = double.issue_token(run_id, lifetime=-10)
        assert self.get_run(browser, expired, run_id).status_code == HTTPStatus.UNAUTHORIZED

    def test_foreign(self, browser: Browser, run_id: str) -> None:
        foreign = AzureMLDouble(blobs="memory").issue_token(run_id)
        answer = self.get_run(browser, foreign, run_id)
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert answer.json()["error"]["code"] == "Unauthorized"

    def test_missing(self, browser: Browser, run_id: str) -> None:
        assert self.get_run(browser, None, run_id).status_code == HTTPStatus.UNAUTHORIZED

    def test_job_at_the_resource_manager(self, browser: Browser, token: str) -> None:
        answer = browser.ask("GET", f"https://{ARM_HOST}{browser.scope}", token)
        assert answer.status_code == HTTPStatus.UNAUTHORIZED

    def test_refreshed(self, browser: Browser, token: str, run_id: str) -> None:
        url = f"{browser.experiment_url}/runs/{run_id}/token"
        fresh = browser.ask("GET", url, token).json()["token"]
        assert self.get_run(browser, fresh, run_id).status_code == HTTPStatus.OK

    @staticmethod
    def get_run(browser: Browser, token: str | None, run_id: str) -> Any:
        return browser.ask("GET", f"{API_URL}/history/v1.0{browser.scope}/runs/{run_id}", token)


class TestNotFound:
    """Missing resources."""

    @pytest.mark.parametrize(
        "path",
        [
            "/history/v1.0{scope}/runs/none",
            "/history/v1.0{scope}/experiments/none",
            "/artifact/v2.0{scope}/artifacts/contentinfo/ExperimentRun/dcid.{run_id}/none",
            "/artifact/v2.0{scope}/artifacts/ExperimentRun/dcid.none",
            "/history/v1.0{scope}-other/runs/{run_id}",
        ],
    )
    def test_known_operation(self, browser: Browser, token: str, run_id: str, path: str) -> None:
        url = API_URL + path.format(scope=browser.scope, run_id=run_id)
        answer = browser.ask("GET", url, token)
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert answer.json()["error"]["message"]

    def test_asset(self, browser: Browser, token: str) -> None:
        url = f"{API_URL}/modelmanagement/v1.0{browser.scope}/assets/none"
        answer = browser.ask("GET", url, token)
        assert answer.json()["statusCode"] == answer.status_code == HTTPStatus.NOT_FOUND

    def test_unknown_operation_is_remembered(self, double: AzureMLDouble, browser: Browser) -> None:
        answer = browser.ask("GET", f"{API_URL}/unknown/operation")
        assert answer.status_code == HTTPStatus.NOT_FOUND
        assert double.unknown_requests[-1].path == "/unknown/operation"

    def test_unknown_host(self, double: AzureMLDouble, browser: Browser) -> None:
        with pytest.raises(requests.exceptions.ProxyError):
            browser.ask("GET", "https://unknown.example/")
        assert double.unknown_requests.pop().host == "unknown.example"


class TestBlobs:
    """Links, conditions and ranges of either blob storage."""

    def put(self, browser: Browser, link: str) -> Any:
        return browser.ask("PUT", link, data=b"0123456789", headers=PUT_HEADERS)

    def test_written_once(
        self, double: AzureMLDouble, browser: Browser, run_id: str, write_link: str
    ) -> None:
        with pytest.raises(FileNotFoundError):
            double.read_artifact(run_id, "new.bin")
        assert self.put(browser, write_link).status_code == HTTPStatus.CREATED
        again = self.put(browser, write_link)
        assert again.status_code == HTTPStatus.CONFLICT
        assert again.headers["x-ms-error-code"] == "BlobAlreadyExists"
        assert double.read_artifact(run_id, "new.bin") == b"0123456789"
        head = browser.ask("HEAD", write_link)
        assert head.headers["Content-Length"] == "10"

    def test_range(self, browser: Browser, write_link: str) -> None:
        self.put(browser, write_link)
        part = browser.ask("GET", write_link, headers={"x-ms-range": "bytes=2-4"})
        assert part.status_code == HTTPStatus.PARTIAL_CONTENT
        assert (part.content, part.headers["Content-Range"]) == (b"234", "bytes 2-4/10")

    def test_blocks(
        self, double: AzureMLDouble, browser: Browser, run_id: str, write_link: str
    ) -> None:
        blocks = {"YQ%3D%3D": b"first ", "Yg%3D%3D": b"second"}
        for name, content in blocks.items():
            url = f"{write_link}&comp=block&blockid={name}"
            assert browser.ask("PUT", url, data=content).status_code == HTTPStatus.CREATED
        wanted = "".join(f"<Latest>{name.replace('%3D', '=')}</Latest>" for name in blocks)
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{wanted}</BlockList>'
        answer = browser.ask("PUT", f"{write_link}&comp=blocklist", data=body.encode())
        assert answer.status_code == HTTPStatus.CREATED, answer.text
        assert double.read_artifact(run_id, "new.bin") == b"first second"

    def test_link_without_signature(self, browser: Browser, write_link: str) -> None:
        answer = self.put(browser, write_link.partition("?")[0])
        refusals = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        assert answer.status_code in refusals

    def test_link_to_another_blob(self, browser: Browser, write_link: str) -> None:
        answer = self.put(browser, write_link.replace("new.bin", "other.bin"))
        assert answer.status_code == HTTPStatus.FORBIDDEN

    def test_read_link_does_not_write(
        self, browser: Browser, token: str, run_id: str, write_link: str
    ) -> None:
        url = f"{browser.experiment_url}/runs/{run_id}"
        answer = browser.ask("GET", f"{url}/artifacts/contentinfo?path=new.bin", token)
        assert answer.json()["contentUri"].partition("?")[0] == write_link.partition("?")[0]
        assert self.put(browser, answer.json()["contentUri"]).status_code == HTTPStatus.FORBIDDEN


class TestRunHistory:
    """Names, tags and limits."""

    def test_names_are_reserved_once(self, browser: Browser, token: str, run_id: str) -> None:
        first = browser.reserve(token, run_id, "./folder/a.json")
        assert first["artifacts"]["./folder/a.json"]["path"] == "folder/a.json"
        second = browser.reserve(token, run_id, "folder/a.json", "folder/b.json")
        assert list(second["artifacts"]) == ["folder/b.json"]
        message = second["errors"]["folder/a.json"]["error"]["message"]
        assert message.startswith("Resource Conflict")

    def test_tags_are_merged_and_limited(
        self, double: AzureMLDouble, browser: Browser, token: str, run_id: str
    ) -> None:
        url = f"{browser.experiment_url}/runs/{run_id}"
        for tags in ({"a": "1", "b": "1"}, {"b": "2"}):
            browser.ask("PATCH", url, token, json={"tags": tags})
        assert double.runs[run_id]["tags"] == {"a": "1", "b": "2"}
        answer = browser.ask("PATCH", url, token, json={"tags": {"c": "x" * 1001}})
        assert answer.status_code == HTTPStatus.BAD_REQUEST
        assert double.runs[run_id]["tags"] == {"a": "1", "b": "2"}


class TestFaults:
    """Faults."""

    @pytest.fixture(autouse=True)
    def _heal(self, double: AzureMLDouble) -> Iterator[None]:
        yield
        double.heal()

    def test_status_some_times(self, double: AzureMLDouble, browser: Browser) -> None:
        fault = double.fail(
            "GET", "api.*/discovery", status=503, headers={"Retry-After": "7"}, times=1
        )
        first, second = (browser.ask("GET", f"{API_URL}/discovery") for _ in range(2))
        assert (first.status_code, second.status_code) == (503, 200)
        assert first.headers["Retry-After"] == "7"
        assert fault.hits == 1

    def test_drop(self, double: AzureMLDouble, browser: Browser, write_link: str) -> None:
        double.fail("PUT", "blob.core.windows.net/azureml/.*new.bin", drop=True)
        with pytest.raises(requests.exceptions.ConnectionError):
            browser.ask("PUT", write_link, data=b"x", headers=PUT_HEADERS)
        assert (double.requests[-1].method, double.requests[-1].status) == ("PUT", 0)
        double.heal()
        answer = browser.ask("PUT", write_link, data=b"x", headers=PUT_HEADERS)
        assert answer.status_code == HTTPStatus.CREATED

    def test_lost_answer(
        self, double: AzureMLDouble, browser: Browser, run_id: str, write_link: str
    ) -> None:
        double.fail("PUT", "new.bin", lose_answer=True, times=1)
        with pytest.raises(requests.exceptions.ConnectionError):
            browser.ask("PUT", write_link, data=b"x", headers=PUT_HEADERS)
        assert double.read_artifact(run_id, "new.bin") == b"x"

    def test_hang_until_healed(self, double: AzureMLDouble, browser: Browser) -> None:
        fault = double.fail("*", "/discovery", hang=60)
        answers: list[Any] = []
        asking = threading.Thread(
            target=lambda: answers.append(browser.ask("GET", f"{API_URL}/discovery"))
        )
        asking.start()
        _wait_for_hit(fault)
        asking.join(0.2)
        assert asking.is_alive()
        double.heal()
        asking.join(60)
        assert answers[0].status_code == HTTPStatus.OK

    def test_stops_while_a_request_hangs(self) -> None:
        with AzureMLDouble(blobs="memory") as other:
            fault = other.fail("CONNECT", "", hang=600)
            sock = socket.create_connection(("127.0.0.1", other.port))
            sock.sendall(b"CONNECT eastus.api.azureml.ms:443 HTTP/1.1\r\n\r\n")
            _wait_for_hit(fault)
        sock.settimeout(60)
        with sock, suppress(ConnectionResetError):
            while sock.recv(4096):  # until it is closed
                pass


def _wait_for_hit(fault: Fault) -> None:
    deadline = time.monotonic() + 60
    while not fault.hits:
        assert time.monotonic() < deadline
        time.sleep(0.01)
