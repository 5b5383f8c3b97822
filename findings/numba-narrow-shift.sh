#!/bin/bash
# numba 0.68.1, numpy 2.4.6: compiled code widens a narrow integer before it shifts, NumPy shifts within its width.  So the
# same function gives two answers with and without NUMBA_DISABLE_JIT=1, and neither way warns, even with all warnings on.
# Seen: with the compiler 4080, without 240; warnings 0 and 0
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages numba==0.68.1 numpy==2.4.6 || exit 2
cat > "$work/shift.py" <<'END'
import numpy as np
from numba import njit

@njit
def times_16(x):
    return x << 4

print(times_16(np.uint8(255)))
END
with=$("$python" -W always "$work/shift.py" 2> "$work/with") &&
	without=$(NUMBA_DISABLE_JIT=1 "$python" -W always "$work/shift.py" 2> "$work/without") || exit 2
expect "with the compiler $with, without $without; warnings $(grep -c Warning "$work/with") and $(grep -c Warning "$work/without")" \
	"with the compiler 4080, without 240; warnings 0 and 0"
