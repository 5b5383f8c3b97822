"""What a kernel printed, pasted into the page: explained, and nothing of it is ever markup."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gfpmodel.errors import InputError
from gfpmodel.explain import explain, render
from gfpmodel.explain.text import parts
from gfpmodel.meeting.case import answer, parse
from gfpmodel.meeting.report import explained
from gfpmodel.show.reports import LONGEST, MOST, PARTS
from tests.conftest import PATIENCE
from tests.explain.test_lockreport import TELLS, UNTOLD

REPORTS = sorted((Path(__file__).parents[1] / "data" / "reports").glob("*.txt"))
OF_ZONES = next(path for path in REPORTS if path.name.startswith("11"))
HOSTILE = "<img src=x onerror=alert(1)>&quot;'\"</section><script>"


class Tags(HTMLParser):
    """Collects elements with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.said = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert attrs == [("class", "gfp-report")] * (tag == "section")
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data + "\n"


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_the_three_parts_say_what_explain_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    got = Tags(explained(text)["html"])
    for one in explain(text):
        assert all(name in got.said for name in PARTS)
        assert all(line in got.said for key in ("missing", "remarks") for line in one[key])
        for _, sentence, lines, closing in parts(one):
            assert all(line in got.said for line in (sentence, *lines, closing))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(REPORTS), st.text(max_size=60) | st.just(HOSTILE), st.integers(0, 3000))
def test_nothing_of_the_text_is_markup(path: Path, noise: str, where: int) -> None:
    text = path.read_text(encoding="utf-8")
    try:
        got = explained(text[:where] + noise + text[where:])
    except InputError:
        return
    assert set(Tags(got["html"]).tags) <= {"section", "h2", "h3", "p", "ul", "li", "details", "summary"}
    assert all(c.isprintable() for c in got["html"])


#: Reports of locks whose case this page can put, and whether it prints the same there (slab's locks it has not).
LINKED = {"21": True, "22": True, "24": True, "25": False, "27": False, "42": True, "43": False}


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_a_report_of_locks_has_its_case_as_an_address(path: Path) -> None:
    """The address is one of this page, and its answer prints what the report is of."""
    got = explained(path.read_text(encoding="utf-8"))
    assert len(got["cases"]) == (path.name[:2] in LINKED)
    (one,) = explain(path.read_text(encoding="utf-8"))
    for link in got["cases"]:
        case = parse(link["query"])
        assert case.title in link["words"]
        assert f"line {one['line']}" in link["words"]
        found = answer(case).found
        assert found.kernel.name == one["release"]
        printed = {(report.kind, report.lock.name if report.lock else None) for report in found.printed}
        assert ((one["kind"], one["lock"]) in printed) == LINKED[path.name[:2]]


def test_a_hostile_kernels_name_stays_a_name() -> None:
    """It is written out as addresses are, and adds no parameter."""
    text = next(path for path in REPORTS if path.name.startswith("22")).read_text(encoding="utf-8")
    (link,) = explained(text.replace("6.12.30-rt10", "6.12.30-rt10&order=3"))["cases"]
    case = parse(link["query"])
    assert (case.order, case.kernel) == (0, "6.12.30-rt10&order=3")


def test_a_hostile_task_is_shown_as_its_name() -> None:
    text = OF_ZONES.read_text(encoding="utf-8").replace("worker: page", f"{HOSTILE}: page")
    assert f"task: {HOSTILE}" in Tags(explained(text)["html"]).said


def test_bad_input_is_one_line() -> None:
    with pytest.raises(InputError, match="no report found; looked for: page allocation failure"):
        explained("hello")
    with pytest.raises(InputError, match="logs of any length"):
        explained("x" * (LONGEST + 1))


def test_a_report_tells_the_page_what_another_one_of_its_boot_does_not_say() -> None:
    text = "Linux version 6.6.10 (a@b)\n" + TELLS + UNTOLD
    assert explained(text)["text"] == "\n\n".join(map(render, explain(text)))
    assert "another report of this boot" in explained(text)["text"]


def test_many_reports_are_counted() -> None:
    got = explained(OF_ZONES.read_text(encoding="utf-8") * (MOST + 1))
    assert got["outcome"] == f"{MOST + 1} reports found; the first {MOST} are shown"
    assert got["html"].count("<section ") == MOST


def post(address: str, body: bytes, token: bool = True) -> tuple[int, str]:
    """Send a text to the server with its token, as a program does."""
    parts = urllib.parse.urlsplit(address)
    url = urllib.parse.urlunsplit(parts._replace(path="/meeting/report", query=""))
    headers = {"Authorization": f"token {urllib.parse.parse_qs(parts.query)['token'][0]}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=PATIENCE) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_server_explains(address: str) -> None:
    text = OF_ZONES.read_text(encoding="utf-8")
    status, body = post(address, text.encode())
    assert (status, json.loads(body)) == (200, explained(text))
    assert post(address, text.encode(), token=False)[0] == 403
    status, body = post(address, b"\xff\x00 nothing")
    assert status == 400
    assert re.match("no report found", json.loads(body)["message"])
    assert post(address, b"x" * (5 * LONGEST))[0] == 400
