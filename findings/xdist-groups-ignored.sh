#!/bin/bash
# pytest-xdist 3.8.0 with pytest 9.2.0: `--dist loadgroup` keeps no group together, and neither says so.  The tests of
# one xdist_group run in both workers, and a session's or module's fixture is made twice; with pytest 9.1.1 they do not.
# Seen (workers of each group): pytest 9.1.1 status 0, group a in 1, group b in 1; pytest 9.2.0 status 0, group a in 2, group b in 2
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages pytest-xdist==3.8.0 pytest==9.1.1 && cd "$work" || exit 2
cat > test_groups.py <<'END'
import pathlib, time
import pytest

@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("group", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in "ab"])
def test_it(group, number, worker_id):
    time.sleep(0.2)
    with pathlib.Path("ran").open("a") as file:
        file.write(f"{group} {worker_id}\n")
END
run() {
	rm -f ran
	"$python" -m pytest -q -p no:cacheprovider -n 2 --dist loadgroup test_groups.py > log 2>&1; local status=$?
	[ "$(wc -l < ran)" = 16 ] || { cat log >&2; return 2; }
	echo "$("$python" -m pytest --version 2>&1) status $status, group a in $(grep ^a ran | sort -u | wc -l), group b in $(grep ^b ran | sort -u | wc -l)"
}
seen="$(run)" && packages pytest-xdist==3.8.0 pytest==9.2.0 && seen="$seen; $(run)" || exit 2
expect "$seen" "pytest 9.1.1 status 0, group a in 1, group b in 1; pytest 9.2.0 status 0, group a in 2, group b in 2"
