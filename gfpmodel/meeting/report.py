"""What a kernel printed, pasted into the page: its explanation as HTML in which nothing of the text is markup."""

from __future__ import annotations

from gfpmodel.errors import InputError
from gfpmodel.explain import LOOKED_FOR, explain, render
from gfpmodel.show.reports import IN_A_PAGE, explanation

LONGEST = 1 << 20  #: characters of a paste
MOST = 20  #: reports that are shown


def explained(text: str) -> dict[str, str]:
    """Return what the page shows of a pasted text: the outcome in a line, HTML, and plain text.

    Raises InputError for a text in which no report is found, or that is too long for a page.
    """
    if len(text) > LONGEST:
        command = "python -m gfpmodel explain FILE"
        raise InputError(f"{len(text)} characters; expected at most {LONGEST}: `{command}` reads logs of any length")
    found = explain(text)
    if not found:
        raise InputError(f"no report found; looked for: {', '.join(LOOKED_FOR)}")
    shown = found[:MOST]
    rest = f"; the first {MOST} are shown" if len(found) > MOST else ""
    return {
        "outcome": f"{len(found)} report{'s' * (len(found) > 1)} found{rest}",
        "html": "".join(explanation(one, IN_A_PAGE).html for one in shown),
        "text": "\n\n".join(map(render, shown)),
    }
