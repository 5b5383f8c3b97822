#!/bin/bash
# nbval 0.11.0, pytest 9.2.0: once a cell has timed out, every later cell is an expected failure.  Where the first one
# catches the interruption and prints what is stored, a wrong output and a false assertion behind it leave status 0.
# Seen: 0 s .FF status 1, 300 s .xx status 0
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh &&
	packages nbval==0.11.0 pytest==9.2.0 ipykernel==7.4.0 nbformat==5.11.1 && cd "$work" || exit 2
cat > write.py <<'END'
import sys
from nbformat import v4, write

def cell(source, printed):
    return v4.new_code_cell(source, execution_count=1, outputs=[v4.new_output("stream", text=printed)])

wait = f"import time\ntry:\n    time.sleep({sys.argv[1]})\nexcept KeyboardInterrupt:\n    pass\nprint('done')"
cells = [cell(wait, "done\n"), cell("print(1 + 1)", "3\n"), cell("assert 1 + 1 == 3\nprint(3)", "3\n")]
write(v4.new_notebook(cells=cells), "book.ipynb")
END
run() {
	"$python" write.py "$1" || exit 2
	"$python" -m pytest -q -p no:cacheprovider --nbval --nbval-current-env --nbval-cell-timeout=30 book.ipynb > log; local status=$?
	echo "$1 s $(head -1 log | cut -d ' ' -f 1) status $status"
}
seen="$(run 0)" && seen="$seen, $(run 300)" || exit 2
expect "$seen" "0 s .FF status 1, 300 s .xx status 0"
