"""``python -m gfpmodel.meeting``."""

from gfpmodel.meeting.app import main

main()
