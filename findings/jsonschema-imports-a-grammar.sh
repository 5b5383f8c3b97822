#!/bin/bash
# jsonschema 4.26.0 with rfc3987-syntax 1.1.0, which Jupyter's events ask for: importing jsonschema, and so nbformat and
# all that reads notebooks, builds a parser of each rule of that grammar, whether a format is ever checked or not.  Without
# that package the import takes a tenth of the time.
# Seen: 3 times as long or more: yes
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages jsonschema==4.26.0 rfc3987-syntax==1.1.0 lark==1.3.1 || exit 2
cat > "$work/starts.py" <<'END'
import subprocess
import sys

COUNT = """
import resource, sys
if {without}: sys.modules["rfc3987_syntax"] = None
import jsonschema
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)
"""


def seconds(without):
    code = COUNT.format(without=without)
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return min(float(run.stdout) for run in runs)


print("yes" if seconds(False) >= 3 * seconds(True) else "no")
END
seen=$("$python" "$work/starts.py") || exit 2
expect "3 times as long or more: $seen" "3 times as long or more: yes"
