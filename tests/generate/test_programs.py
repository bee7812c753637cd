"""How many programs drawing compiles: none the second time, and few large ones whatever number of crystals is asked for."""

import logging
from collections import Counter

import jax
import pytest

from symjax import systems


@pytest.fixture
def compiled():
    """Names of the programs that XLA compiles, counted as it goes."""
    found = Counter()

    class Watch(logging.Handler):
        def emit(self, record):
            text = record.getMessage()
            if "Finished XLA compilation of jit(" in text:
                found[text.split("jit(")[1].split(")")[0]] += 1

    watch, logger = Watch(), logging.getLogger("jax._src.dispatch")
    before = jax.config.jax_log_compiles
    logger.addHandler(watch)
    jax.config.update("jax_log_compiles", True)
    yield found
    logger.removeHandler(watch)
    jax.config.update("jax_log_compiles", before)


@pytest.mark.slow
def test_symop(compiled):
    """Geometries of 5, 20 and 60 crystals, with their redraws, take few programs; the same again takes none."""
    systems.generate("symop", 5, steps=2, min_ratio=0.9)
    assert 1 <= compiled["reverse_diffusion"] <= 2  # not vacuous: the log is read
    compiled.clear()
    systems.generate("symop", 5, steps=2, min_ratio=0.9)
    assert not compiled
    for num in (20, 60):
        systems.generate("symop", num, steps=2, min_ratio=0.9)
    assert compiled["reverse_diffusion"] <= 6
    assert compiled["_draw_walks"] == compiled["_draw_species"] == compiled["site_logits"] == 0
