"""# Generation and constraints

What is asked for is asked of operations, elements and formulas, in one way for every model.
"""

# %% A formula in a group
# Positions are counted first, so nothing is drawn that cannot add up. Few diffusion steps keep this page quick.
import symjax

salts = symjax.generate(2, formula="NaCl", groups="Fm-3m", steps=4)
for i in range(len(salts)):
    cell = salts.atoms(i)
    print(salts.formula[i], "found in its atoms:", symjax.symmetry(cell), "volume", round(cell.volume), "Å³")

# %% By operations, not by labels
# Without an inversion and with a polar direction: which groups appear is the model's business.
from symjax.evaluate.symmetry import group_numbers
from symjax.groups import properties

polar = symjax.generate(4, centrosymmetric=False, polar=True, steps=4)
for formula, number in zip(polar.formula, group_numbers(polar)):
    kind = properties(symjax.space_group(int(number)))
    print(formula, f"no. {number}", "polar:", kind.polar, "inversion:", kind.centrosymmetric)

# %% What cannot be is said
from symjax.errors import InputError

try:
    symjax.generate(1, groups="Fm-3m", polar=True)
except InputError as error:
    print(error)

# %% How likely they are
# Any model with a likelihood scores any crystals, its own or others.
scores = symjax.log_likelihood("symop", salts)
print(scores.kind, "log-likelihood of", scores.of)
print({name: bool((values < 0).all()) for name, values in scores.terms.items()})
