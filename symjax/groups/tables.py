"""Tables of the 530 Hall settings, the 230 standard settings, and the vocabulary of their operations.

Owns: `hall_setting`, `standard_setting`, `default_hall`, `OperationVocabulary`. The data is symjax/groups/tables.npz, made by
scripts/make_tables.py from spglib's database; it is read on first use and kept.

Conventions: standard setting = unique axis b, origin choice 2, hexagonal axes (International Tables, pyxtal).
Translations in 24ths. Frame 0 is the orthonormal reference lattice, frame 1 the hexagonal one (a = b, gamma = 120
degrees, columns (1,0,0), (-1/2, sqrt(3)/2, 0), (0,0,1)); a type is trigonal or hexagonal exactly if it needs frame 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from symjax.errors import InputError
from symjax.groups.packaged import NUM_TYPES as NUM_TYPES
from symjax.groups.packaged import arrays, check_number
from symjax.groups.sets import OpSet, canonical_unique
from symjax.lattice.frames import FRAMES, FRAMES_INVERSE
from symjax.ops import exact
from symjax.ops.types import DEN, namespace

NUM_SETTINGS = 530
_CODES_PER_FRAME = 3**9 * DEN**3  # of symjax.ops.exact.code; two frames still fit int32


def _check_hall(hall: int) -> int:
    if isinstance(hall, bool) or not isinstance(hall, (int, np.integer)) or not 1 <= hall <= NUM_SETTINGS:
        raise InputError(f"a Hall number is an integer from 1 to {NUM_SETTINGS}, got {hall!r}")
    return int(hall)


def default_hall(number: int) -> int:
    """Hall number (1 to 530) of the standard setting of a space-group type (1 to 230)."""
    return int(arrays("groups/tables")["default_hall"][check_number(number)])


def hall_to_number(hall: int) -> int:
    """Space-group number of a Hall setting."""
    return int(arrays("groups/tables")["number"][_check_hall(hall)])


def setting_symbols(hall: int) -> dict[str, str]:
    """Names of a Hall setting: keys 'international' (short symbol), 'choice', 'hall_symbol', 'point_group'."""
    _check_hall(hall)
    return {
        name: str(arrays("groups/tables")[name][hall])
        for name in ("international", "choice", "hall_symbol", "point_group")
    }


def hall_setting(hall: int) -> OpSet:
    """Operations of a Hall setting (1 to 530) in canonical order, centring translations included (numpy, unpadded)."""
    tables = arrays("groups/tables")
    rows = slice(int(tables["start"][_check_hall(hall)]), int(tables["start"][hall + 1]))
    W = tables["rotations"][tables["rot_index"][rows]].astype(np.int32)
    w = tables["w"][rows].astype(np.int32)
    return OpSet(W=W, w=w, mask=np.ones(len(W), bool), den=DEN)


def standard_setting(number: int) -> OpSet:
    """Operations of the standard setting of a space-group type (1 to 230) in canonical order (numpy, unpadded)."""
    return hall_setting(default_hall(number))


def standard_number(opset: OpSet) -> int | None:
    """Type whose standard setting a set is, operation by operation and in its order; None for any other set."""
    if opset.den != DEN or not np.asarray(opset.mask).all() or np.ndim(opset.W) != 3:
        return None
    return _standard_sets().get((np.asarray(opset.W, np.int32).tobytes(), np.asarray(opset.w, np.int32).tobytes()))


@cache
def _standard_sets() -> dict[tuple[bytes, bytes], int]:
    """Bytes of the operations of each standard setting."""
    sets = ((number, standard_setting(number)) for number in range(1, NUM_TYPES + 1))
    return {(opset.W.tobytes(), opset.w.tobytes()): number for number, opset in sets}


def tabulated_hall(opset: OpSet, *, repeats: bool = False) -> int:
    """Hall number of the tabulated setting that one set is as it stands, whatever its order; 0 where it is none.

    Args:
        opset: without padding.
        repeats: take a set that lists an operation twice for what it holds.
    """
    W = np.asarray(opset.W)
    if DEN % opset.den or not len(W) or np.abs(W).max() > 1:
        return 0
    codes = _codes(W, np.asarray(opset.w) * (DEN // opset.den))
    return _halls_by_codes().get(codes.tobytes(), 0) if repeats or len(codes) == len(W) else 0


def _codes(W: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Ascending distinct int64 codes of operations with entries of -1, 0, 1 and translations in 24ths."""
    return np.unique(
        (W.reshape(-1, 9).astype(np.int64) + 1) @ 3 ** np.arange(9) * DEN**3 + w % DEN @ DEN ** np.arange(3)
    )


@cache
def _halls_by_codes() -> dict[bytes, int]:
    """Codes of each tabulated setting -> its Hall number, the first of equal ones."""
    found: dict[bytes, int] = {}
    for hall in range(1, NUM_SETTINGS + 1):
        opset = hall_setting(hall)
        found.setdefault(_codes(opset.W, opset.w).tobytes(), hall)
    return found


def wyckoff_letters(number: int) -> str:
    """Wyckoff letter of each of `wyckoff_positions(standard_setting(number))`, in their order.

    Source: International Tables for Crystallography A, as in pyxtal's tables; the 27th position of type 47 is "A".
    """
    return arrays("groups/tables")["letters"][check_number(number)].decode()


ENANTIOMORPHS = (
    (76, 78),
    (91, 95),
    (92, 96),
    (144, 145),
    (151, 153),
    (152, 154),
    (169, 170),
    (171, 172),
    (178, 179),
    (180, 181),
    (212, 213),
)
"""The eleven pairs of types that a reflection maps onto each other."""


def enantiomorph(number: int) -> int:
    """The type of the mirror image: the other one of a pair, or the same."""
    check_number(number)
    return next((a + b - number for a, b in ENANTIOMORPHS if number in (a, b)), number)


def standard_frame(number: int) -> int:
    """Reference frame of a type's standard setting: 1 for trigonal and hexagonal types (143 to 194), else 0."""
    return int(143 <= check_number(number) <= 194)


@dataclass(frozen=True)
class OperationVocabulary:
    """The distinct operations of the 230 standard settings, frame by frame (v = 694 + 106 = 800).

    Attributes:
      W: (v, 3, 3) int32 rotation parts.
      w: (v, 3) int32 translations in 24ths.
      frame: (v,) int32, 0 orthonormal and 1 hexagonal; frame 0 comes first, each block in canonical order.

    The index v stands for "outside the vocabulary" everywhere.
    """

    W: np.ndarray
    w: np.ndarray
    frame: np.ndarray

    @property
    def size(self) -> int:
        """Number of operations v; also the index that stands for "outside"."""
        return len(self.W)

    @cached_property
    def identity(self) -> np.ndarray:
        """(2,) int32 index of the identity of each frame."""
        return np.searchsorted(self.frame, [0, 1]).astype(np.int32)

    @cached_property
    def block(self) -> np.ndarray:
        """(2, 2) int32 first and past-the-last index of each frame's operations."""
        edges = np.searchsorted(self.frame, [0, 1, 2])
        return np.stack([edges[:2], edges[1:]], -1).astype(np.int32)

    @cached_property
    def R(self) -> np.ndarray:
        """(v, 3, 3) float64 orthogonal rotation parts A W A^-1, A the basis columns of the operation's frame."""
        return FRAMES[self.frame] @ self.W @ FRAMES_INVERSE[self.frame]

    @cached_property
    def _sorted_keys(self) -> tuple[np.ndarray, np.ndarray]:
        """Ascending int32 keys of the operations and the index of each."""
        keys = _keys(self.W, self.w, self.frame)
        order = np.argsort(keys, kind="stable")
        return keys[order].astype(np.int32), order.astype(np.int32)

    def lookup(self, W: Any, w: Any, frame: Any) -> Any:
        """Indices of operations, v for those outside the vocabulary.

        Args:
          W: (..., 3, 3) integers. numpy or jax; the result is of the same kind.
          w: (..., 3) integers in 24ths, any representative modulo 24.
          frame: (...) 0 or 1, broadcast against the operations.

        Returns:
          (...) int32.
        """
        xp = namespace(W, w, frame)
        sorted_keys, order = (xp.asarray(a) for a in self._sorted_keys)
        keys = _keys(xp.asarray(W), xp.asarray(w), xp.asarray(frame))
        at = xp.minimum(xp.searchsorted(sorted_keys, keys), self.size - 1)
        return xp.where(sorted_keys[at] == keys, order[at], self.size).astype(xp.int32)

    @cached_property
    def product(self) -> np.ndarray:
        """(v + 1, v + 1) int16: index of "row operation after column operation", v when it is outside.

        Pairs of different frames and anything with index v give v.
        """
        v = self.size
        table = np.full((v + 1, v + 1), v, np.int16)
        for first, last in self.block:
            W, w = self.W[first:last].astype(np.int64), self.w[first:last].astype(np.int64)
            rotations, which = np.unique(W.reshape(-1, 9), axis=0, return_inverse=True)
            rotations = rotations.reshape(-1, 3, 3)
            turned = np.einsum("rij,nj->rni", rotations, w)[which.ravel()]  # W_a w_b for every pair
            products = np.einsum("rij,sjk->rsik", rotations, rotations)[which.ravel()[:, None], which.ravel()[None, :]]
            found = self.lookup(products, turned + w[:, None, :], self.frame[first])
            table[first:last, first:last] = found
        return table

    @cached_property
    def inverse(self) -> np.ndarray:
        """(v + 1,) int16 index of the inverse, v when it is outside (and for v itself)."""
        inverse_W = np.rint(np.linalg.inv(self.W)).astype(np.int64)
        inverse_w = -np.einsum("nij,nj->ni", inverse_W, self.w)
        return np.append(self.lookup(inverse_W, inverse_w, self.frame), self.size).astype(np.int16)

    def indices(self, opset: OpSet, frame: int) -> np.ndarray:
        """(..., n) int32 indices of a numpy set's operations in one frame; v for padding and for unknown ones."""
        if DEN % opset.den:
            raise InputError(f"vocabulary translations are in 24ths; a set with denominator {opset.den} does not fit")
        found = self.lookup(np.asarray(opset.W), np.asarray(opset.w) * (DEN // opset.den), frame)
        return np.where(np.asarray(opset.mask), found, self.size).astype(np.int32)

    def opset(self, indices: Any) -> OpSet:
        """The numpy set with these indices (..., n); an index v becomes padding."""
        indices = np.asarray(indices)
        mask = indices < self.size
        W = np.concatenate([self.W, np.eye(3, dtype=np.int32)[None]])[indices]
        w = np.concatenate([self.w, np.zeros((1, 3), np.int32)])[indices]
        return OpSet(W=W, w=w, mask=mask, den=DEN)


def _keys(W: Any, w: Any, frame: Any) -> Any:
    """(...) int32 keys without collision: the code of the operation, then the frame; negative if unknown."""
    code = exact.code(exact.Op(W, w))
    return code + (code >= 0) * (frame * _CODES_PER_FRAME)


@cache
def vocabulary() -> OperationVocabulary:
    """The vocabulary of the 230 standard settings (built once per process)."""
    blocks: list[list[OpSet]] = [[], []]
    for number in range(1, NUM_TYPES + 1):
        blocks[standard_frame(number)].append(standard_setting(number))
    W, w, frame = [], [], []
    for index, block in enumerate(blocks):
        block_W = np.concatenate([s.W for s in block])
        block_w = np.concatenate([s.w for s in block])
        first = canonical_unique(block_W, block_w)
        W.append(block_W[first])
        w.append(block_w[first])
        frame.append(np.full(len(first), index, np.int32))
    return OperationVocabulary(W=np.concatenate(W), w=np.concatenate(w), frame=np.concatenate(frame))
