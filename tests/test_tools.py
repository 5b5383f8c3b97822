"""The tools behind the book: fetching its JavaScript, the Sphinx extension for it, recording notebooks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import tarfile
from pathlib import Path
from types import SimpleNamespace

import fetch_js
import links
import nbformat
import nbrecord
import pytest
import vendor_js

TEXT = b"a script"
SUM = hashlib.sha256(TEXT).hexdigest()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fetch_js.Package:
    """A package of one file, and an npm that packs it without a network."""
    source = tmp_path / "source.js"
    source.write_bytes(TEXT)
    archive = tmp_path / "toy-1.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, "package/toy.js")

    def npm_pack(command: list[str], what: str) -> None:
        to = next(word.partition("=")[2] for word in command if word.startswith("--pack-destination="))
        Path(to, archive.name).write_bytes(archive.read_bytes())

    monkeypatch.setattr(fetch_js, "run", npm_pack)
    monkeypatch.setattr(fetch_js, "npm_command", lambda scratch: ["npm"])
    member = fetch_js.Member("package/toy.js", "vendored.js", SUM)
    return fetch_js.Package("toy@1", "MIT", archive.name, fetch_js.sha256(archive), (member,))


def test_fetch_brings_the_files_once(package: fetch_js.Package, tmp_path: Path) -> None:
    folder = tmp_path / "assets" / "vendor"
    assert fetch_js.fetch(folder, (package,))
    assert (folder / "vendored.js").read_bytes() == TEXT
    assert [p.name for p in folder.parent.iterdir()] == ["vendor"]
    assert (folder / fetch_js.SOURCES).read_text() == f"vendored.js  toy@1  MIT  sha256:{SUM}\n"
    assert not fetch_js.fetch(folder, (package,))


def test_fetch_mends_a_damaged_file(package: fetch_js.Package, tmp_path: Path) -> None:
    folder = tmp_path / "assets" / "vendor"
    fetch_js.fetch(folder, (package,))
    (folder / "vendored.js").write_bytes(b"half")
    assert fetch_js.fetch(folder, (package,))
    assert (folder / "vendored.js").read_bytes() == TEXT


def broken(package: fetch_js.Package, kind: str) -> fetch_js.Package:
    member = package.members[0]
    if kind == "archive":
        return dataclasses.replace(package, sha256="0" * 64)
    if kind == "file":
        return dataclasses.replace(package, members=(dataclasses.replace(member, sha256="0" * 64),))
    return dataclasses.replace(package, members=(dataclasses.replace(member, path="package/none.js"),))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("archive", "toy-1.tgz: SHA-256 is"),
        ("file", "vendored.js: SHA-256 is"),
        ("member", "has no file package/none.js"),
    ],
)
def test_fetch_of_wrong_bytes_leaves_nothing(
    package: fetch_js.Package, tmp_path: Path, kind: str, message: str
) -> None:
    folder = tmp_path / "assets" / "vendor"
    with pytest.raises(fetch_js.FetchError, match=message) as error:
        fetch_js.fetch(folder, (broken(package, kind),))
    assert "\n" not in str(error.value)
    assert list(folder.parent.iterdir()) == []


def test_a_failing_program_is_one_line() -> None:
    with pytest.raises(fetch_js.FetchError, match=r"^npm pack x failed: \w.*$"):
        fetch_js.run(["ls", "/nowhere"], "npm pack x")
    with pytest.raises(fetch_js.FetchError, match="No such file"):
        fetch_js.run(["/nowhere/npm"], "npm pack x")


def test_fetch_js_reports_on_stderr(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> bool:
        raise fetch_js.FetchError("npm pack x failed: no network")

    monkeypatch.setattr(fetch_js, "fetch", fail)
    assert fetch_js.main() == 1
    assert capsys.readouterr().err == "fetch_js: npm pack x failed: no network\n"


def test_what_only_the_tests_use_is_not_in_the_book(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: dict[Path, tuple[fetch_js.Package, ...]] = {}
    monkeypatch.setattr(fetch_js, "fetch", lambda folder, packages: fetched.update({folder: packages}))
    assert fetch_js.main() == 0
    assert [folder for folder, packages in fetched.items() if packages == fetch_js.TEST_PACKAGES] == [
        Path(__file__).parent / "vendor"
    ]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A built book of two pages."""
    (tmp_path / "book").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="top">One</h1><a href="book/two.html#a%20b">on</a><a href="#">up</a>')
    two = '<p id="a b"><a href="../index.html#top">back</a><a href="https://kernel.org/doc#x">out</a><img src="data:x">'
    (tmp_path / "book" / "two.html").write_text(two)
    return tmp_path


def test_links_that_lead_somewhere(site: Path) -> None:
    assert links.check(site) == ([], ["https://kernel.org/doc"])


@pytest.mark.parametrize(
    ("link", "what"),
    [
        ("#none", "there is no such id"),
        ("two.html#top", "there is no such id"),
        ("three.html", "there is no such file"),
        ("../book/", "there is no such file"),
        ("../../two.html", "leads out of the book"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(site: Path, link: str, what: str) -> None:
    with (site / "book" / "two.html").open("a") as two:
        two.write(f'\n<a href="{link}">')
    assert links.check(site)[0] == [f"book/two.html:2: {link}: {what}"]


def test_links_as_a_command(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(links, "EXTERNAL", tmp_path / "_build" / "external.txt")
    assert links.main([str(site)]) == 0
    assert links.EXTERNAL.read_text() == "https://kernel.org/doc\n"
    (site / "book" / "two.html").unlink()
    assert links.main([str(site)]) == 1
    assert capsys.readouterr().err == "index.html:1: book/two.html#a%20b: there is no such file\n"
    assert links.main([str(site / "none")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def sphinx_config() -> SimpleNamespace:
    return SimpleNamespace(
        mathjax_path="vendor/m.js",
        nb_ipywidgets_js={"vendor/embed.js": {}},
        tippy_js=["vendor/popper.js", "vendor/tippy.js", "tips.js"],
    )


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Sphinx warnings, caught without a Sphinx."""
    monkeypatch.setattr(vendor_js, "logger", logging.getLogger("vendor_js_test"))
    return caplog


def test_extension_keeps_the_settings_when_the_files_are_there(
    monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fetch_js, "fetch", lambda: False)
    config = sphinx_config()
    vendor_js.provide(None, config)  # type: ignore[arg-type]
    assert config == sphinx_config()
    assert not warnings.records


def test_extension_falls_back_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, warnings: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(fetch_js, "VENDOR", tmp_path)
    monkeypatch.setenv(vendor_js.OFFLINE, "1")
    config = sphinx_config()
    vendor_js.provide(None, config)  # type: ignore[arg-type]
    assert config.mathjax_path == vendor_js.MATHJAX_URL
    assert config.nb_ipywidgets_js == {vendor_js.EMBED_URL: {}}
    assert config.tippy_js == [vendor_js.POPPER_URL, vendor_js.TIPPY_URL, "tips.js"]
    assert [record.levelname for record in warnings.records] == ["WARNING"]
    assert "load their JavaScript from" in warnings.text


def test_fallback_names_the_pinned_versions() -> None:
    pinned = {f"{it.spec}/{it.members[0].path.removeprefix('package/')}" for it in fetch_js.PACKAGES}
    urls = {vendor_js.EMBED_URL, vendor_js.MATHJAX_URL, vendor_js.POPPER_URL, vendor_js.TIPPY_URL}
    assert {url.removeprefix(f"{vendor_js.CDN}/") for url in urls} <= pinned


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny notebook with a widget, recorded."""
    sources = ["print(6 * 7)", "import ipywidgets as W\n\nW.VBox([W.IntSlider(), W.HTML('x')])"]
    make = nbformat.v4
    cells = [make.new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources)]  # type: ignore[no-untyped-call]
    path = tmp_path_factory.mktemp("nb") / "tiny.ipynb"
    nbformat.write(make.new_notebook(cells=cells), path)  # type: ignore[no-untyped-call]
    assert nbrecord.main([str(path)]) == 0
    return path


def test_recording_twice_gives_the_same_bytes(recorded: Path) -> None:
    before = recorded.read_bytes()
    assert nbrecord.main([str(recorded)]) == 0
    assert recorded.read_bytes() == before
    assert b'"42\\n"' in before
    assert b"IPY_MODEL_000" in before


def test_check_names_the_changed_cell(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "changed.ipynb"
    changed.write_text(recorded.read_text().replace("42", "41"))
    before = changed.read_bytes()
    assert nbrecord.main(["--check", str(changed)]) == 1
    assert capsys.readouterr().err == f"{changed}: cell 1 (c0) differs from a fresh run\n"
    assert changed.read_bytes() == before


def test_check_of_an_unchanged_notebook_is_silent(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nbrecord.main(["--check", str(recorded)]) == 0
    assert capsys.readouterr() == ("", "")


def drawing(x: float, style: str) -> str:
    """Return a drawing as a notebook stores it, without what ``--check`` does not look at."""
    svg = f'<svg width="{x}"><path d="M {x} 0 \nL {x} {x}" style="{style}"/><use x="{x}"/></svg>'
    return nbrecord.GEOMETRY.sub("", json.dumps(svg))


def test_check_does_not_look_at_coordinates() -> None:
    assert drawing(1.1, "a") == drawing(1.2, "a") != drawing(1.1, "b")


def test_a_failing_cell_is_one_line_and_nothing_is_written(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = tmp_path / "failing.ipynb"
    failing.write_text(recorded.read_text().replace("print(6 * 7)", "1 / 0"))
    before = failing.read_bytes()
    assert nbrecord.main([str(failing)]) == 1
    assert capsys.readouterr().err == f"{failing}: a cell fails: ZeroDivisionError: division by zero\n"
    assert failing.read_bytes() == before


def test_what_is_no_notebook_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.ipynb").write_text('{"half')
    assert nbrecord.main([str(tmp_path / "text.ipynb"), str(tmp_path / "none.ipynb")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2
