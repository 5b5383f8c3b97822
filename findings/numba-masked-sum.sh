#!/bin/bash
# numba 0.68.1: a sum of two int64 counts as one that does not overflow, so the mask that would catch the overflow is left
# out where the compiler can see that the first summand is not negative.  So one expression gives two answers: alone it
# wraps to 0; in a loop, after a first mask, it goes on below 0, where the third number should be 1.  NumPy wraps.
# Seen: alone 0, in a loop -9223372036854775807, NumPy 0
cd "$(dirname "$0")" && work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT &&
	. lib/venv.sh && . lib/expect.sh && packages numba==0.68.1 numpy==2.4.6 || exit 2
cat > "$work/sum.py" <<'END'
import numpy as np
from numba import njit

LOW = 0x7FFF_FFFF_FFFF_FFFF

@njit
def after(word):
    return (word + 1) & LOW

@njit
def after_many(word, times):
    word &= LOW
    for _ in range(times):
        word = (word + 1) & LOW
    return word

last = np.array([LOW])
print("alone", after(last[0]), end=", ")
print("in a loop", after_many(last[0] - 1, 3), end=", ")
print("NumPy", ((last + 1) & LOW)[0])
END
expect "$("$python" -W ignore "$work/sum.py")" "alone 0, in a loop -9223372036854775807, NumPy 0"
