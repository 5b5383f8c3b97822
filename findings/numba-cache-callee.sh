#!/bin/bash
# numba 0.68.1, numpy 2.4.6: a function kept with cache=True is found again by the time and size of its own file.  The
# functions that it calls are in that code: after an edit of their file a new process still runs the old ones, and their
# caller alone says otherwise than Python does.
# Seen: rules.py edited: compiled order 10, interpreted order 11
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages numba==0.68.1 numpy==2.4.6 && cd "$work" || exit 2
printf 'from numba import njit\n\n@njit(cache=True)\ndef max_order():\n    return 10\n' > rules.py
cat > engine.py <<'END_OF_PYTHON'
from numba import njit
from rules import max_order

@njit(cache=True)
def largest():
    return max_order()

if __name__ == "__main__":
    from engine import largest as kept
    print(f"compiled order {kept()}, interpreted order {max_order.py_func()}")
END_OF_PYTHON
"$python" engine.py > log || exit 2
sleep 1.1
sed -i 's/return 10/return 11/' rules.py
seen="$("$python" engine.py)" || exit 2
expect "rules.py edited: $seen" "rules.py edited: compiled order 10, interpreted order 11"
