"""Sphinx extension: the role ``claim``, a badge at the end of a sentence that says how the book knows it.

``{claim}`booted <label>` `` links to the evidence at a label; the kinds, and what a reader sees, are ``KINDS``.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

#: How something is known: the word of the role, and that of the badge.
KINDS = {
    "booted": "measured on a booted kernel",
    "code": "the kernel's code in user space",
    "modelled": "modelled",
    "source": "read in source",
    "list": "reported on the list",
}
_WRITTEN = re.compile(r"(?P<kind>\w+) <(?P<label>[\w-]+)>")


class Claim(SphinxRole):
    """``{claim}`` with a kind and the label of the evidence."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the badge, a link."""
        found = _WRITTEN.fullmatch(self.text)
        if not found or found["kind"] not in KINDS:
            what = f"claim {self.text!r}; expected one of {', '.join(KINDS)}, and <label> of the evidence"
            return [], [self.inliner.reporter.error(what, line=self.lineno)]
        kind = found["kind"]
        reference = pending_xref(
            "",
            nodes.inline("", KINDS[kind], classes=["gfp-claim", f"gfp-claim-{kind}"]),
            refdomain="std",
            reftype="ref",
            reftarget=found["label"],
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )
        return [reference], []


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role."""
    app.add_role("claim", Claim())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
