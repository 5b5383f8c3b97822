"""The server of meeting mode: jupyter_server with one page and nothing else, on 127.0.0.1, behind its token."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from textwrap import fill
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.application import ExtensionApp, ExtensionAppJinjaMixin
from jupyter_server.extension.handler import ExtensionHandlerJinjaMixin, ExtensionHandlerMixin
from jupyter_server.serverapp import ServerApp
from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher, Rule
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, authenticated

from gfpmodel.cli import fail
from gfpmodel.errors import InputError
from gfpmodel.locking import STACKS
from gfpmodel.locking.machine import PCP
from gfpmodel.locking.spoken import PLACES, spoken
from gfpmodel.meeting.case import (
    BESIDE,
    COLUMNS,
    KERNELS,
    LOADS,
    Case,
    answer,
    choice,
    notebook,
    page,
    parse_pair,
    query,
)
from gfpmodel.meeting.report import explained
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.pictures import style
from gfpmodel.show.reports import LONGEST

FILES = Path(__file__).parent / "page"
LOCAL = ("127.0.0.1", "localhost", "::1")
#: Menus of the page beside what the model lists: ordinary masks, options, list states in words.
MASKS = ("GFP_KERNEL", "GFP_KERNEL_ACCOUNT", "GFP_NOWAIT", "GFP_NOFS", "GFP_ATOMIC", "GFP_HIGHUSER_MOVABLE")
CONFIGS = (
    "",
    "PROVE_RAW_LOCK_NESTING",
    "PREEMPT_RT",
    "PREEMPT_RT,PROVE_RAW_LOCK_NESTING=n",
    "LOCKDEP=n",
    "LOCKDEP=n,PREEMPT_RT",
    "PAGE_OWNER",
    "MEMCG",
)
STATES = {
    "dry": "empty",
    "warm": "pages on each list",
    "monly": "movable pages only",
    "ronly": "reclaimable pages only",
    "full": "one page below high",
    "boost": "pages on each list, the mark for kswapd set, the watermark not raised",
    "boostwm": "the same, watermark boosted",
    "low": "pages on each list, memory at the low mark",
    "min": "pages on each list, memory at the min mark",
}
BOOK = Path(__file__).parents[2] / "_build" / "html"  #: where `make book` puts it, in a checkout
#: What the server has, below its base URL: the page, its answers and files, the book, and how the token is shown.
ROUTES = re.compile(r"(?:meeting(?:/case\.(?:json|ipynb)|/report)?|(?:static|book)/\S+|login|logout)?")
METHODS = ("GET", "HEAD", "POST")
CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
BOOK_POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"


class MeetingHandler(ExtensionHandlerMixin, ExtensionHandlerJinjaMixin, JupyterHandler):
    """The page, with its menus; what it shows comes from `CaseHandler`."""

    @property
    def content_security_policy(self) -> str:
        """Return a policy under which the page can ask nobody but this server."""
        return CONTENT_POLICY

    @authenticated
    def get(self) -> None:
        """Write the page."""
        self.finish(
            self.render_template(
                "page.html",
                style=style(),
                start=Case(),
                beside=query(BESIDE),
                book=BOOK.is_dir(),
                xsrf=self.xsrf_token.decode(),
                proposals={name: spoken(name) for name in PROPOSALS},
                masks=MASKS,
                contexts={name: PLACES[name] for name in STACKS},
                kernels=KERNELS,
                configs=CONFIGS,
                states={name: STATES[name] for name in PCP},
                loads={name: load.title for name, load in LOADS.items()},
            )
        )


class CaseHandler(ExtensionHandlerMixin, APIHandler):
    """The answer to the case that the query names: JSON, or a notebook to keep."""

    @authenticated
    async def get(self, kind: str) -> None:
        """Write the answer; a case that cannot be is a 400 with one line."""
        warm: Future[None] = self.settings["meeting_warm"]
        await asyncio.shield(asyncio.wrap_future(warm))
        try:
            got = await asyncio.get_running_loop().run_in_executor(WORKERS, shown, kind, self.request.query)
        except InputError as error:
            self.set_status(400)
            self.finish({"message": " ".join(str(error).split())})
            return
        if kind == "ipynb":
            self.set_header("Content-Type", "application/x-ipynb+json")
            self.set_header("Content-Disposition", 'attachment; filename="case.ipynb"')
        self.finish(got)


class ReportHandler(ExtensionHandlerMixin, APIHandler):
    """The explanation of what a kernel printed, which is the body of the request: it is kept nowhere."""

    @authenticated
    async def post(self) -> None:
        """Write the explanation; a text without a report is a 400 with one line."""
        warm: Future[None] = self.settings["meeting_warm"]
        await asyncio.shield(asyncio.wrap_future(warm))
        text = self.request.body[: 4 * LONGEST + 4].decode("utf-8", "replace")
        try:
            self.finish(await asyncio.get_running_loop().run_in_executor(WORKERS, explained, text))
        except InputError as error:
            self.set_status(400)
            self.finish({"message": " ".join(str(error).split())})


class BookHandler(JupyterHandler, StaticFileHandler):
    """The built book, of whose scripts some stand in its pages."""

    @authenticated
    async def get(self, path: str, include_body: bool = True) -> None:  # type: ignore[override]
        """Write a file of the book."""
        await StaticFileHandler.get(self, path, include_body)

    @property
    def content_security_policy(self) -> str:
        """Return a policy under which a page can ask nobody but this server."""
        return BOOK_POLICY


WORKERS = ThreadPoolExecutor(min(os.cpu_count() or 1, 8), "answer")  #: of answers, side by side


def shown(kind: str, query: str) -> dict[str, Any] | str:
    """Return the answer to a query as it is sent, in a thread of its own; raises InputError."""
    mine, other = parse_pair(without_token(query))
    got = answer(mine)
    if kind == "ipynb":
        return notebook(got)
    if other is None:
        return dict(page(got))
    beside = answer(other)
    a, b, said = page(got), page(beside), choice(got, beside)
    head = fill(said, COLUMNS)
    return {**a, "versus": b, "choice": said, "block": f"{head}\n\nA\n{a['block']}\n\nB\n{b['block']}"}


class Refused(RequestHandler):
    """What is none of this server's routes, or no method of it: an empty error, which asks nobody who it is for."""

    def check_xsrf_cookie(self) -> None:
        """Check nothing: it is refused in any case."""

    def prepare(self) -> None:
        """Refuse it."""
        raise HTTPError(404 if self.request.method in METHODS else 405)

    def write_error(self, status_code: int, **_: Any) -> None:
        """Write nothing but the status."""
        self.finish()


class Foreign(Matcher):
    """Matches what is not for this server: jupyter_server itself would start kernels, and read and write files."""

    def __init__(self, base: str) -> None:
        self.base = base

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """Return None for a route of this server."""
        ours = request.path.startswith(self.base) and ROUTES.fullmatch(request.path.removeprefix(self.base))
        return None if ours and request.method in METHODS else {}


class MeetingServer(ServerApp):
    """A jupyter_server that serves the meeting's page alone."""

    def init_webapp(self) -> None:
        """Make the web application, and let nothing but the page through to it."""
        super().init_webapp()
        self.web_app.default_router.rules.insert(0, Rule(Foreign(self.base_url), Refused))


def without_token(query: str) -> str:
    """Return a query without the server's token."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != "token")


class MeetingApp(ExtensionAppJinjaMixin, ExtensionApp):
    """The application, to be started by ``main``."""

    name = "gfpmodel_meeting"
    extension_url = "/meeting"
    load_other_extensions = False
    serverapp_class = MeetingServer
    serverapp_config = {"answer_yes": True}  # noqa: RUF012 - as the base class has it
    static_paths = [str(FILES)]  # noqa: RUF012
    template_paths = [str(FILES)]  # noqa: RUF012

    @classmethod
    def get_extension_package(cls) -> str:
        """Return the package that holds ``_jupyter_server_extension_points``."""
        return "gfpmodel.meeting"

    def initialize_settings(self) -> None:
        """Begin to compile, so that the page is there meanwhile."""
        self.settings["meeting_warm"] = warm_up()

    def initialize_handlers(self) -> None:
        """Add the page and its answers."""
        self.handlers += [("/meeting", MeetingHandler), (r"/meeting/case\.(json|ipynb)", CaseHandler)]
        self.handlers += [("/meeting/report", ReportHandler)]
        if BOOK.is_dir():
            self.handlers += [("/book/(.*)", BookHandler, {"path": str(BOOK)})]


def warm_up() -> Future[None]:
    """Answer a case of every load in a thread of its own; returns what is done when all that is compiled is ready.

    Nothing else is answered before.
    """
    done: Future[None] = Future()

    def work() -> None:
        try:
            for load in LOADS:
                page(answer(Case(load=load)))
        except Exception as error:  # whoever waits is told
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=work, name="warm-up", daemon=True).start()
    return done


def check(server: Any) -> None:
    """Raise InputError for a server that others could reach or use."""
    if server.ip not in LOCAL:
        raise InputError(f"--ip is {server.ip!r}; expected {LOCAL[0]}: the meeting is for this machine alone")
    if not server.identity_provider.token:
        raise InputError("the token is switched off; expected one: remove it from the options or Jupyter's settings")


def main(argv: Sequence[str] | None = None) -> None:
    """Serve the page until Ctrl-C; ``argv`` are jupyter_server's options."""
    try:
        app: Any = MeetingApp
        server = app.initialize_server(argv=list(sys.argv[1:] if argv is None else argv))
        check(server)
    except InputError as error:
        sys.exit(fail(str(error)))
    server.start()
