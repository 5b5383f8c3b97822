"""Sphinx extension: the built book carries its own JavaScript.

Missing files are fetched before the build begins. Where that is impossible the pages name a CDN instead,
with one warning: a build with -W fails then, and a reader at home still gets a working book.
"""

from __future__ import annotations

import os
from typing import Any

import fetch_js
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

CDN = "https://cdn.jsdelivr.net/npm"
EMBED_URL = f"{CDN}/@jupyter-widgets/html-manager@1.0.15/dist/embed.js"
MATHJAX_URL = f"{CDN}/mathjax@3.2.2/es5/tex-svg-full.js"
POPPER_URL = f"{CDN}/@popperjs/core@2.11.8/dist/umd/popper.min.js"
TIPPY_URL = f"{CDN}/tippy.js@6.3.7/dist/tippy-bundle.umd.min.js"
#: Set to anything: do not fetch (what a machine without a network sees; the tests use it).
OFFLINE = "GFPMODEL_NO_FETCH"

logger = logging.getLogger(__name__)


def bring() -> None:
    if os.environ.get(OFFLINE) and not fetch_js.complete(fetch_js.VENDOR):
        raise fetch_js.FetchError(f"{OFFLINE} is set")
    fetch_js.fetch()


def provide(app: Sphinx, config: Config) -> None:
    try:
        bring()
    except fetch_js.FetchError as error:
        config.mathjax_path = MATHJAX_URL
        config.nb_ipywidgets_js = {EMBED_URL: {}}
        config.tippy_js = [POPPER_URL, TIPPY_URL, *config.tippy_js[2:]]
        logger.warning("%s; the pages will load their JavaScript from %s", error, CDN)


def setup(app: Sphinx) -> dict[str, Any]:
    # before the extensions that read these settings
    app.connect("config-inited", provide, priority=100)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
