#!/bin/bash
# nbval 0.11.0, nbclient 0.11.0, pytest 9.2.0: a notebook is stored as nbclient ran it a moment ago, and is the same in
# every run.  Its cell whose output display.update() changed, and the one that called clear_output(), differ for nbval:
# it compares with what was shown before.
# Seen: stored 'done' y, nbval F.F
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh &&
	packages nbval==0.11.0 pytest==9.2.0 ipykernel==7.4.0 nbformat==5.11.1 nbclient==0.11.0 && cd "$work" || exit 2
cat > write.py <<'END_OF_PYTHON'
from nbclient import NotebookClient
from nbformat import v4, write

updated = ["shown = display('waiting', display_id=True)", "shown.update('done')"]
cleared = "from IPython.display import clear_output\nprint('x', flush=True)\nclear_output()\nprint('y')"
book = v4.new_notebook(cells=[v4.new_code_cell(source) for source in (*updated, cleared)])
NotebookClient(book).execute()
write(book, "book.ipynb")
print(book.cells[0].outputs[0].data["text/plain"], book.cells[2].outputs[0].text.strip())
END_OF_PYTHON
stored="$("$python" write.py 2>log)" || exit 2
"$python" -m pytest -q --color=no -p no:cacheprovider --nbval --nbval-current-env book.ipynb > log
expect "stored $stored, nbval $(head -1 log | cut -d ' ' -f 1)" "stored 'done' y, nbval F.F"
