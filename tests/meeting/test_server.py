"""The server of meeting mode: its token, its answers to bad cases, what it refuses to do."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest

from gfpmodel.meeting.app import BOOK, CONFIGS
from gfpmodel.meeting.case import Case, answer, block, query
from gfpmodel.proposals import PROPOSALS
from tests.conftest import PATIENCE


class Reply(NamedTuple):
    """What the server answered."""

    status: int
    body: str
    headers: Message


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *_: object) -> None:
        return None


def get(address: str, path: str = "", token: bool = True, text: str = "") -> Reply:
    """Ask the server whose printed address this is."""
    parts = urllib.parse.urlsplit(address)
    asked = "&".join(part for part in (parts.query if token else "", text) if part)
    url = urllib.parse.urlunsplit(parts._replace(path=f"/meeting{path}", query=asked))
    try:
        with urllib.request.build_opener(NoRedirect).open(url, timeout=PATIENCE) as reply:
            return Reply(reply.status, reply.read().decode(), reply.headers)
    except urllib.error.HTTPError as error:
        return Reply(error.code, error.read().decode(), error.headers)


def test_the_page_needs_the_token(address: str) -> None:
    reply = get(address, token=False)
    assert reply.status == 302
    assert reply.headers["Location"].startswith("/login")
    assert get(address).status == 200


@pytest.mark.parametrize("path", ["/case.json", "/case.ipynb"])
def test_an_answer_needs_the_token(address: str, path: str) -> None:
    assert get(address, path, token=False).status == 403
    assert get(address, path).status == 200


def test_the_page_can_ask_no_other_host(address: str) -> None:
    reply = get(address)
    assert "default-src 'self'" in reply.headers["Content-Security-Policy"]
    assert "//" not in reply.body.replace("://127.0.0.1", "").split("</style>")[1].replace("</", "")


def test_a_case_is_answered_as_the_package_does(address: str) -> None:
    case = Case("trylock", order=1, context="mutex>hardirq>raw:krc.lock", kernel="v6.18", config="PREEMPT_RT")
    got = json.loads(get(address, "/case.json", text=query(case)).body)
    assert got["block"] == block(answer(case))
    assert got["query"] == query(case)
    reply = get(address, "/case.ipynb", text=query(case))
    assert "attachment" in reply.headers["Content-Disposition"]
    nbformat.validate(nbformat.v4.reads(reply.body))  # type: ignore[no-untyped-call]


def ask(address: str, method: str, path: str, body: bytes | None = None) -> int:
    """Send a request with the token and return the status."""
    parts = urllib.parse.urlsplit(address)
    url = urllib.parse.urlunsplit(parts._replace(path=path))
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=120) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    "path",
    ["/api/kernels", "/api/contents", "/api/contents/x", "/api/sessions", "/files/log", "/api/status", "/api",
     "/api/kernelspecs", "/api/terminals", "/metrics", "/view/log", "/nbconvert/html/x", "/api/shutdown", "/meeting/x"],
)  # fmt: skip
def test_the_server_has_nothing_but_the_page(address: str, path: str) -> None:
    assert ask(address, "GET", path) == 404
    assert ask(address, "POST", path, b"{}") == 404


def test_the_book_is_beside_the_page_and_nothing_else_of_the_checkout(address: str) -> None:
    built = BOOK.is_dir()
    assert ask(address, "GET", "/book/book/index.html") == (200 if built else 404)
    assert ask(address, "GET", "/book/no.html") == 404
    for path in ("/book/../../README.md", "/book/%2e%2e/%2e%2e/README.md", "/book//etc/passwd"):
        assert ask(address, "GET", path) in (403, 404)
    assert ("Back to the book" in get(address).body) == built


@pytest.mark.parametrize("method", ["FOO", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/meeting", "/meeting/case.json", "/api/kernels", "/static/page.js"])
def test_an_odd_method_is_refused_in_silence(address: str, method: str, path: str, log: Path) -> None:
    assert ask(address, method, path) == 405
    assert get(address).status == 200
    assert "Traceback" not in log.read_text()


def test_clients_are_answered_side_by_side(address: str) -> None:
    cases = [Case(row, order=order, config=config) for row in PROPOSALS for order in (0, 1) for config in CONFIGS[:3]]
    with ThreadPoolExecutor(20) as clients:
        replies = list(clients.map(lambda case: get(address, "/case.json", text=query(case)), cases))
    assert {reply.status for reply in replies} == {200}
    assert [json.loads(reply.body)["block"] for reply in replies] == [block(answer(case)) for case in cases]


@pytest.mark.parametrize("text", ["order=x", "colour=red", "context=hardirq>mutex", "gfp=%00", "config=%3Cb%3E"])
@pytest.mark.parametrize("path", ["/case.json", "/case.ipynb"])
def test_a_bad_case_is_one_line(address: str, path: str, text: str) -> None:
    reply = get(address, path, text=text)
    assert reply.status == 400
    assert "\n" not in json.loads(reply.body)["message"]
    assert get(address, text=text).status == 200, "the page itself stays usable"


@pytest.mark.parametrize(
    ("option", "said"), [("--ip=0.0.0.0", "this machine alone"), ("--IdentityProvider.token=", "token is switched off")]
)
def test_it_is_never_open_to_others(option: str, said: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gfpmodel.meeting", "--no-browser", "--allow-root", "--port=0", option]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
