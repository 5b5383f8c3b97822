// Opened from a disk (file://) a page may not fetch another one, so the search shows titles without text around the hit.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
