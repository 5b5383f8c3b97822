#!/bin/bash
# unidiff 0.7.5: in a patch with CRLF line ends (saved by a mail program) every path ends in a carriage return, so that a
# look-up by path fails; a patch quoted with "> " is an empty set without an error.
# Seen: paths ['mm/a.c\r'], quoted 0 files
cd "$(dirname "$0")" && . lib/venv.sh && . lib/expect.sh && packages unidiff==0.7.5 || exit 2
seen=$("$python" - <<'END'
from unidiff import PatchSet

patch = "--- a/mm/a.c\n+++ b/mm/a.c\n@@ -1 +1 @@\n-one\n+two\n"
paths = [file.path for file in PatchSet(patch.replace("\n", "\r\n"))]
quoted = "".join(f"> {line}\n" for line in patch.splitlines())
print(f"paths {paths}, quoted {len(PatchSet(quoted))} files")
END
)
expect "$seen" "paths ['mm/a.c\\r'], quoted 0 files"
