"""Meeting mode: one page that answers one case, served on this machine alone (``make meeting``)."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Return what jupyter_server asks of an extension."""
    from gfpmodel.meeting.app import MeetingApp

    return [{"module": "gfpmodel.meeting.app", "app": MeetingApp}]
