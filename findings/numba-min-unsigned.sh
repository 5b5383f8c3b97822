#!/bin/bash
# numba 0.68.1, numpy 2.4.6: min() of an unsigned and a signed integer is a float in compiled code.  The same source run
# by Python returns one of the two integers.  From 2**53 on the compiled result is another number.
# Seen: compiled float 1.152921504606847e+18, interpreted 1152921504606846977
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages numba==0.68.1 numpy==2.4.6 || exit 2
seen=$("$python" - <<'END'
import numpy as np
from numba import njit

@njit
def least(a, b):
    return min(a, b)

a, b = np.uint64(2**60 + 1), 2**61
print("compiled", type(least(a, b)).__name__, least(a, b), end=", ")
print("interpreted", least.py_func(a, b))
END
)
expect "$seen" "compiled float 1.152921504606847e+18, interpreted 1152921504606846977"
