#!/bin/bash
# unidiff 0.7.5: in a patch with CRLF line ends, as a mail program saves it, every path ends in a carriage return, so that
# a look-up by path finds nothing.  `git apply --numstat` reads the same file as mm/a.c.
# Seen: unidiff ['mm/a.c\r'], git mm/a.c
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages unidiff==0.7.5 || exit 2
printf '%s\r\n' '--- a/mm/a.c' '+++ b/mm/a.c' '@@ -1 +1 @@' '-one' '+two' > "$work/crlf.patch"
cat > "$work/paths.py" <<'END'
import sys
from unidiff import PatchSet

with open(sys.argv[1], newline="") as patch:
    print([file.path for file in PatchSet(patch)])
END
seen=$("$python" "$work/paths.py" "$work/crlf.patch") && git=$(cd "$work" && git apply --numstat crlf.patch | cut -f 3) || exit 2
expect "unidiff $seen, git $git" "unidiff ['mm/a.c\\r'], git mm/a.c"
