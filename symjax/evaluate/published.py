"""Figures that others printed, to stand beside measured ones: structure prediction, and the shares of LeMat-GenBench's protocol.

The tables of the five papers that symjax follows are in `experiments.published`; here is what commands print beside their own
figures. Only what the named source prints is here; a cell that it does not print is absent.
"""

from __future__ import annotations

from typing import NamedTuple


class Prediction(NamedTuple):
    """A row of a table of structure prediction with the formula and the number of atoms given.

    Attributes:
        model: as its paper calls it.
        dataset: ``perov-5``, ``carbon-24``, ``mp-20`` or ``mpts-52``: the whole official test split.
        tries: candidates of each crystal, the best of which counts.
        match: match rate in per cent.
        rmse: mean normalised RMS distance of the matched ones.
        source: where it is printed.
    """

    model: str
    dataset: str
    tries: int
    match: float
    rmse: float
    source: str


DATASETS = ("perov-5", "carbon-24", "mp-20", "mpts-52")
_DIFFCSP = "DiffCSP, arXiv 2309.04475, table 1"
_CRYSTALITE = "Crystalite, arXiv 2604.02270 (fewer digits than its table)"
_ROWS = {  # (model, tries) -> (match, RMSE) of each of DATASETS
    ("P-cG-SchNet", 1): ((48.22, 0.4179), (17.29, 0.3846), (15.39, 0.3762), (3.67, 0.4115)),
    ("P-cG-SchNet", 20): ((97.94, 0.3463), (55.91, 0.3551), (32.64, 0.3018), (12.96, 0.3942)),
    ("CDVAE", 1): ((45.31, 0.1138), (17.09, 0.2969), (33.90, 0.1045), (5.34, 0.2106)),
    ("CDVAE", 20): ((88.51, 0.0464), (88.37, 0.2286), (66.95, 0.1026), (20.79, 0.2085)),
    ("DiffCSP", 1): ((52.02, 0.0760), (17.54, 0.2759), (51.49, 0.0631), (12.19, 0.1786)),
    ("DiffCSP", 20): ((98.60, 0.0128), (88.47, 0.2192), (77.93, 0.0492), (34.02, 0.1749)),
}
PREDICTION: tuple[Prediction, ...] = (
    *(
        Prediction(model, dataset, tries, match, rmse, _DIFFCSP)
        for (model, tries), cells in _ROWS.items()
        for dataset, (match, rmse) in zip(DATASETS, cells)
    ),
    Prediction("Crystalite", "mp-20", 1, 66.1, 0.033, _CRYSTALITE),
    Prediction("Crystalite", "mpts-52", 1, 31.7, 0.072, _CRYSTALITE),
)


class Msun(NamedTuple):
    """A share of metastable, unique and novel crystals under LeMat-GenBench's protocol, in per cent of 2,500."""

    model: str
    value: float


MSUN_NUM = 2500
MSUN_SOURCE = "public script generate_msun_plots of PLaID++ (arXiv 2509.07150), novelty against MP-20"
MSUN: tuple[Msun, ...] = (
    Msun("PLaID++", 30.2),
    Msun("MatterGen", 22.7),
    Msun("DiffCSP", 18.3),
    Msun("DiffCSP++", 13.6),
    Msun("CrystalFormer", 10.4),
    Msun("SymmCD", 8.9),
    Msun("WyFormer", 6.1),
    Msun("ADiT", 2.8),
)
