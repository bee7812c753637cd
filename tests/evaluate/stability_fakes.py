"""A potential without torch: smooth pair forces in numpy, with analytic forces and stress."""

import itertools

import numpy as np

from symjax.evaluate.stability import Evaluation

SHIFTS = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)))


class Pair:
    """Morse pairs with a smooth end at ``cutoff``; lengths from the sum of atomic numbers, so that elements differ.

    Counts its calls. ``noise`` adds forces and a stress that no symmetry allows (a function of the call number alone).
    """

    name = "pair"
    version = "1"

    def __init__(self, *, batch=1, cutoff=5.0, noise=0.0, fail=(), depth=0.4):
        self.batch, self.cutoff, self.noise, self.fail, self.depth = batch, cutoff, noise, tuple(fail), depth
        self.calls = 0

    def evaluate(self, cells, *, forces=True):
        self.calls += 1
        parts = [self._one(cell) for cell in cells]
        return Evaluation(
            np.array([p[0] for p in parts]),
            [p[1] if forces and p[3] is None else np.zeros((0, 3)) for p in parts],
            np.array([p[2] for p in parts]),
            [p[3] for p in parts],
        )

    def _one(self, cell):
        if any(int(z) in self.fail for z in cell.z):
            return np.nan, np.zeros((0, 3)), np.full((3, 3), np.nan), "an element this potential does not know"
        n = len(cell.z)
        base = cell.x[None] - cell.x[:, None]  # j - i
        vector = ((base - np.round(base))[:, :, None] + SHIFTS) @ cell.L
        r = np.linalg.norm(vector, axis=-1)
        live = (r > 1e-9) & (r < self.cutoff)
        r = np.where(live, r, self.cutoff)
        best = 2.3 + 0.01 * (cell.z[:, None] + cell.z[None])[:, :, None]
        u = np.exp(-2.0 * (r - best))
        raw, slope = self.depth * (u * u - 2 * u), self.depth * -2.0 * (2 * u * u - 2 * u)
        x = r / self.cutoff
        end, fall = (1 - x * x) ** 3, -6 * x * (1 - x * x) ** 2 / self.cutoff
        energy = 0.5 * float((raw * end * live).sum())
        pull = (slope * end + raw * fall) * live
        forces = (pull / r)[..., None] * vector
        stress = 0.5 * np.einsum("ijsa,ijsb->ab", forces, vector) / cell.volume
        total = forces.sum(axis=(1, 2))
        if self.noise:
            rng = np.random.default_rng(self.calls)
            total = total + self.noise * rng.normal(size=(n, 3))
            wild = rng.normal(size=(3, 3))
            stress = stress + self.noise * (wild + wild.T) / cell.volume
        return energy, total, stress, None


class Fixed(Pair):
    """Energies per atom by atomic number, no forces: for hulls."""

    name = "fixed"

    def _one(self, cell):
        energy = float(np.sum(cell.z)) * -0.01 - (0.5 if len(set(cell.z.tolist())) > 1 else 0.0)
        return energy, np.zeros((len(cell.z), 3)), np.zeros((3, 3)), None


class Deadly(Pair):
    """Kills its process at an element, as a lack of memory would."""

    name = "deadly"

    def _one(self, cell):
        import os

        if 79 in cell.z:
            os._exit(9)
        return super()._one(cell)
