"""Charge neutrality of partly known compositions, as features and masks of the sites stage (host, exact).

Elements come in rising electronegativity. With the SMACT 2 oxidation states, an assignment is sensible if the charges
are first positive, then negative, and add up to zero. The totals that finished elements can reach are kept as bits of
two integers: assignments that are positive so far, and those that have turned negative.
"""

from functools import lru_cache

import numpy as np

from symjax.elements import IS_METAL, OXIDATION_STATES

MAX_BALANCE = 96  # counts of atoms per primitive cell below this are looked at
_ZERO = 4096  # bit that stands for charge 0


@lru_cache(maxsize=65536)
def reachable(finished: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """Bit sets of reachable charges (all positive so far, already negative) after (element, atoms) in order."""
    if not finished:
        return 1 << _ZERO, 0
    rising, falling = reachable(finished[:-1])
    z, count = finished[-1]
    up = down = 0
    for q in OXIDATION_STATES[z]:
        if q > 0:
            up |= rising << (q * count)
        elif q < 0:
            down |= (rising | falling) >> (-q * count)
    return up, down


@lru_cache(maxsize=65536)
def balance_row(finished: tuple[tuple[int, int], ...], z: int) -> np.ndarray:
    """`(MAX_BALANCE,)` bool: which numbers of atoms of element z, as the last element, can be charge neutral.

    One element alone and metals among themselves count as balanced, as in the SMACT composition rule.
    """
    row = np.zeros(MAX_BALANCE, bool)
    if all(IS_METAL[e] for e, _ in finished) and (IS_METAL[z] or not finished):
        row[1:] = True
        return row
    both = reachable(finished)[0] | reachable(finished)[1]
    for q in OXIDATION_STATES[z]:
        if q < 0:
            row[1:] |= np.array([(both >> (_ZERO - q * n)) & 1 for n in range(1, MAX_BALANCE)], bool)
    row.setflags(write=False)
    return row


def balance_rows(z: np.ndarray, atoms: np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
    """Balance features of slots.

    Args:
      z: (c, m) atomic numbers in canonical order, 0 padding.
      atoms: (c, m) atoms per primitive cell that each slot holds (read only for finished elements).
      steps: (c,) one slot per crystal, or None for all of them.

    Returns:
      (c, MAX_BALANCE) or (c, m, MAX_BALANCE) bool.
    """
    num, width = z.shape
    out = np.zeros((num, width if steps is None else 1, MAX_BALANCE), bool)
    for i in range(num):
        for slot in range(width) if steps is None else (int(steps[i]),):
            element = int(z[i, slot])
            if element == 0:
                continue
            counts: dict[int, int] = {}
            for e, n in zip(z[i, :slot].tolist(), atoms[i, :slot].tolist(), strict=True):
                if e != element:
                    counts[e] = counts.get(e, 0) + int(round(n))
            out[i, 0 if steps is not None else slot] = balance_row(tuple(counts.items()), element)
    return out if steps is None else out[:, 0]
