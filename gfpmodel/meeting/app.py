"""The server of meeting mode: jupyter_server with one page, on 127.0.0.1, behind its token; no kernel is started."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.extension.application import ExtensionApp, ExtensionAppJinjaMixin
from jupyter_server.extension.handler import ExtensionHandlerJinjaMixin, ExtensionHandlerMixin
from tornado.web import authenticated

from gfpmodel.cli import fail
from gfpmodel.errors import InputError
from gfpmodel.locking import STACKS
from gfpmodel.locking.machine import PCP
from gfpmodel.meeting.case import KERNELS, LOADS, Answer, Case, answer, notebook, page, parse
from gfpmodel.proposals import PROPOSALS
from gfpmodel.show.pictures import style

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
    "boost": "pages on each list, kswapd to be woken",
    "boostwm": "the same, watermark boosted",
    "low": "pages on each list, memory at the low mark",
    "min": "pages on each list, memory at the min mark",
}
CONTENT_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"


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
                proposals={name: row.title for name, row in PROPOSALS.items()},
                masks=MASKS,
                contexts={name: ">".join(words) for name, words in STACKS.items()},
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
            got = asked(self.request.query)
        except InputError as error:
            self.set_status(400)
            self.finish({"message": " ".join(str(error).split())})
            return
        if kind == "json":
            self.finish(dict(page(got)))
            return
        self.set_header("Content-Type", "application/x-ipynb+json")
        self.set_header("Content-Disposition", 'attachment; filename="case.ipynb"')
        self.finish(notebook(got))


def asked(query: str) -> Answer:
    """Return the answer to a query without its token; raises InputError."""
    return answer(parse("&".join(part for part in query.split("&") if part.partition("=")[0] != "token")))


class MeetingApp(ExtensionAppJinjaMixin, ExtensionApp):
    """The application, to be started by ``main``."""

    name = "gfpmodel_meeting"
    extension_url = "/meeting"
    load_other_extensions = False
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


def warm_up() -> Future[None]:
    """Answer a case of every load in a thread of its own; returns what is done when all that is compiled is ready.

    The engine's allocators are shared, so nothing else is answered before.
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
