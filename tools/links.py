"""Check the links of the built book: ``python tools/links.py [FOLDER]``.

Every link inside the book has to lead to a file and, after a ``#``, to an id in it. The links that leave the book are
written one a line into ``_build/external-links.txt``; a weekly job asks whether they still answer.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
EXTERNAL = ROOT / "_build" / "external-links.txt"
POINTERS = {"href", "src", "xlink:href"}


@dataclass
class Page(HTMLParser):
    """What one page points to, with the line of each link, and what can be pointed to in it."""

    links: list[tuple[int, str]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (tag, name) == ("a", "name"):
                self.ids.add(value or "")
            elif name in POINTERS and value:
                self.links.append((self.getpos()[0], value))


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def pages(site: Path) -> dict[Path, Page]:
    """Read every page below ``site``; the theme's templates in ``_static`` are none."""
    found = sorted(path for path in site.rglob("*.html") if path.relative_to(site).parts[0] != "_static")
    return {path: read(path) for path in found}


def fault(link: str, path: Path, site: Path, book: dict[Path, Page]) -> str:
    """Say what is wrong with a link inside the book, or nothing."""
    address, fragment = urldefrag(link)
    target = (path.parent / unquote(urlsplit(address).path)).resolve() if address else path
    if not target.is_relative_to(site):
        return "leads out of the book"
    # a folder would do on a server, but shows its list of files when the book is opened from a disk
    if not target.is_file():
        return "there is no such file"
    if fragment and target in book and unquote(fragment) not in book[target].ids:
        return "there is no such id"
    return ""


def check(site: Path) -> tuple[list[str], list[str]]:
    """Return the faults of the links inside the book, a line each, and the addresses outside it."""
    site = site.resolve()
    book = pages(site)
    faults, external = [], set()
    for path, page in book.items():
        for line, link in page.links:
            scheme = urlsplit(link).scheme
            if scheme in {"http", "https"}:
                external.add(urldefrag(link).url)
            elif not scheme and (what := fault(link, path, site, book)):
                faults.append(f"{path.relative_to(site)}:{line}: {link}: {what}")
    return faults, sorted(external)


def main(arguments: list[str]) -> int:
    site = Path(arguments[0]) if arguments else SITE
    if not site.is_dir():
        print(f"links: {site}: expected the folder of a built book (make book)", file=sys.stderr)
        return 2
    faults, external = check(site)
    EXTERNAL.parent.mkdir(exist_ok=True)
    EXTERNAL.write_text("".join(f"{address}\n" for address in external), encoding="utf-8")
    print(*faults, sep="\n", file=sys.stderr, end="\n" if faults else "")
    print(f"{len(faults)} broken links; {len(external)} addresses outside the book are listed in {EXTERNAL}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
