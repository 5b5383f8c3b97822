"""Pictures of results: pure functions to HTML with a text form, and the widgets around them (extra ``show``)."""
