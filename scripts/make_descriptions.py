"""Makes symjax/models/symop/walk/descriptions.npz: every closed set of vocabulary operations inside the 230 standard
settings, with its space-group type and its conjugacy class, and the classes that one more operation leads to.

Run: python scripts/make_descriptions.py [--out PATH] (some minutes). spglib names the types; nothing else is looked up.
"""

import numpy as np
from make_tables import write_table

from symjax.generate.masks import setting_members
from symjax.groups.identify import identify
from symjax.groups.tables import NUM_TYPES, enantiomorph, vocabulary
from symjax.models.symop.walk.contexts import set_key
from symjax.models.symop.walk.set_lattice import lattice_below
from symjax.models.symop.walk.states import packaged_classes


def build() -> dict[str, np.ndarray]:
    """Every subgroup of every standard setting.

    Conjugate sets have one type, but for the hand of the eleven enantiomorphic pairs.
    """
    vocab = vocabulary()
    found: dict[bytes, np.ndarray] = {}
    for number in range(1, NUM_TYPES + 1):
        lattice = lattice_below(np.flatnonzero(setting_members(number)))
        for inside in lattice.members:
            row = np.zeros(vocab.size, bool)
            row[lattice.operations[inside]] = True
            found.setdefault(np.packbits(row).tobytes(), row)
        print(number, len(lattice), len(found), flush=True)
    rows = sorted(found.values(), key=lambda row: (int(row.sum()), np.packbits(row).tobytes()))
    keys = [set_key(row) if row.sum() > 1 else 0 for row in rows]  # the identity alone belongs to no frame
    names = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    by_class: dict[int, int] = {}
    types = []
    for row, key in zip(rows, keys, strict=True):
        if key not in by_class or enantiomorph(by_class[key]) != by_class[key]:
            by_class[key] = identify(vocab.opset(np.flatnonzero(row))).number
        types.append(by_class[key])
    classes = np.array([names[key] for key in keys], np.int16)
    return {
        "packed": np.packbits(np.stack(rows), axis=-1),
        "number": np.array(types, np.uint8),
        "class": classes,
        **packaged_classes(np.stack(rows), classes.astype(int)),
    }


if __name__ == "__main__":
    write_table(
        "models/symop/walk/descriptions",
        __doc__,
        build,
        lambda a: (
            f"{len(a['number'])} closed sets of {a['class'].max() + 1} conjugacy classes, {len(set(a['number'].tolist()))} types"
        ),
    )
