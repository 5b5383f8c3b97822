#!/bin/bash
# numba 0.68.1, numpy 2.4.6: compiled code widens narrow integers before it adds or shifts, NumPy scalars wrap around.  So
# the same function gives two answers with and without NUMBA_DISABLE_JIT=1; NumPy warns of the sum, and not of the shift.
# Seen: with the compiler 2147483648 4080, without -2147483648 240
cd "$(dirname "$0")" && . lib/venv.sh && . lib/expect.sh && packages numba==0.68.1 numpy==2.4.6 || exit 2
cat > "$work/narrow.py" <<'END'
import numpy as np
from numba import njit

@njit
def plus_one(x):
    return x + np.int32(1)

@njit
def times_16(x):
    return x << 4

print(plus_one(np.int32(2**31 - 1)), times_16(np.uint8(255)))
END
with=$("$python" "$work/narrow.py" 2> "$work/with") && without=$(NUMBA_DISABLE_JIT=1 "$python" "$work/narrow.py" 2> "$work/without") || exit 2
expect "with the compiler $with, without $without; warnings $(grep -c Warning "$work/with") and $(grep -c Warning "$work/without")" \
	"with the compiler 2147483648 4080, without -2147483648 240; warnings 0 and 1"
