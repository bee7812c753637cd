"""Wyckoff tokens: vocabularies, tables, tokens of crystals and back, equivalent representations, and what is refused."""

import warnings
from collections import Counter
from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symjax.elements import ATOMIC_NUMBERS
from symjax.errors import InputError, WeightsError
from symjax.groups.sets import OpSet
from symjax.groups.tables import standard_setting, wyckoff_letters
from symjax.models.wyckoff_transformer import variants as variants_module
from symjax.models.wyckoff_transformer.tokens import REASONS, Tokens, decode, fits, tables, tokenize, vocabulary
from symjax.models.wyckoff_transformer.variants import (
    all_variants,
    apply_variant,
    canonical,
    count_variants,
    draw_variants,
    fingerprints,
    variants,
)
from symjax.wyckoff.normalizer import normalizer
from symjax.wyckoff.set_table import build_set_table, standard_numbers
from symjax.wyckoff.types import positions_of_type

MP20, ALL = vocabulary("mp20"), vocabulary("all")


@pytest.fixture(scope="module")
def light(prototype_dataset):
    """The prototypes that the largest vocabulary and 20 sites can hold."""
    kept = fits(prototype_dataset, ALL)
    assert 250 < kept.sum() < len(prototype_dataset)
    return prototype_dataset.subset(kept)


@pytest.fixture(scope="module")
def tokens(light):
    return tokenize(light, ALL)


def crystal(number, sites, vocabulary=ALL, slots=8):
    """Tokens of one crystal from [(symbol, letter)]."""
    known, letters = tables(vocabulary), wyckoff_letters(number)
    pos = np.full((1, slots), -1, np.int16)
    pos[0, : len(sites)] = [letters.index(letter) for _, letter in sites]
    mask = pos >= 0
    element = np.full((1, slots), vocabulary.pad[0], np.int32)
    element[0, : len(sites)] = vocabulary.tokens_of([name for name, _ in sites])
    site = np.where(mask, known.site[number][pos], vocabulary.pad[1])
    enum = np.where(mask, known.enum[number][pos], vocabulary.pad[2])
    return Tokens(number=np.array([number], np.int32), element=element, site=site, enum=enum, mask=mask, pos=pos)


def sequence(tokens, vocabulary):
    """Fields (c, m + 1) with STOP after the last site."""
    row, count = np.arange(len(tokens)), tokens.mask.sum(1)
    out = []
    for field, pad, stop in zip(
        (tokens.element, tokens.site, tokens.enum), vocabulary.pad, vocabulary.stop, strict=True
    ):
        field = np.pad(field, ((0, 0), (0, 1)), constant_values=pad)
        field[row, count] = stop
        out.append(field)
    return out


def letters_of(tokens, row=0):
    names = wyckoff_letters(int(tokens.number[row]))
    return "".join(names[p] for p in tokens.pos[row][tokens.mask[row]])


# Vocabulary ------------------------------------------------------------------------------------------------------------------


def test_published_vocabulary():
    assert (
        MP20.sizes == (92, 75, 11)
        and MP20.mask == (89, 72, 8)
        and MP20.stop == (90, 73, 9)
        and MP20.pad == (91, 74, 10)
    )
    assert set(MP20.elements) == {name for name, z in ATOMIC_NUMBERS.items() if z <= 94} - {
        "Po",
        "At",
        "Rn",
        "Fr",
        "Ra",
    }
    assert MP20.elements[:3] == ("Cs", "K", "Rb") and MP20.elements[-3:] == ("Ar", "He", "Ne")
    assert list(MP20.sites) == sorted(MP20.sites)
    assert set(ALL.sites) - set(MP20.sites) == {"222..", "42.2", "432", "6..", "6/m..", "622"}
    assert len(MP20.groups) == 177 and {1, 2, 225, 227} <= set(MP20.groups) and not {27, 228, 230} & set(MP20.groups)


def test_published_order_is_by_electronegativity():
    """pymatgen's ordering of elements, which the published tokenizer relies on; noble gases have no value and stand last."""
    from pymatgen.core import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.array([Element(name).X for name in MP20.elements])
    assert np.isnan(values).sum() <= 4 and not np.isnan(values[:84]).any()
    assert (np.diff(values[~np.isnan(values)]) >= 0).all()


def test_full_vocabulary():
    assert ALL.sizes == (97, 81, 11) and ALL.elements[0] == "H" and ALL.elements[93] == "Pu"
    assert (ALL.element_tokens[1:95] == np.arange(94)).all() and (ALL.element_tokens[[0, 95]] == -1).all()


@pytest.mark.parametrize(("one", "width"), [(MP20, 97), (ALL, 99)])
def test_group_vectors(one, width):
    features = one.start_features()
    assert features.shape == (231, width) and features.dtype == np.float32 and not features[0].any()
    rows = features[list(one.groups)]
    assert len(np.unique(rows, axis=0)) == len(one.groups) and (rows.min(0) < rows.max(0)).all()


def test_versions_name_the_tables():
    """Weights depend on these; if one changes, every stored weight becomes unusable."""
    assert MP20.version == "wyckoff-tokens-1:7953839bcc05ff64" and ALL.version == "wyckoff-tokens-1:61865e5c40f627cc"
    assert replace(MP20, sites=tuple(reversed(MP20.sites))).version != MP20.version
    MP20.check_version(MP20.version)
    with pytest.raises(WeightsError, match=r"model\.npz.*61865e5c40f627cc.*'mp20'.*7953839bcc05ff64"):
        MP20.check_version(ALL.version, "model.npz")


def test_names_that_are_none():
    with pytest.raises(InputError, match=r"'mp20'.*'all'"):
        vocabulary("mp21")
    with pytest.raises(InputError, match="outside the vocabulary 'mp20': Po, Xx"):
        MP20.tokens_of(["O", "Po", "Xx"])


# Tables and tokens -----------------------------------------------------------------------------------------------------------


def test_tables_hold_every_position_once():
    known = tables(ALL)
    assert known.enum_ok.sum() == 1731 and known.site_ok.sum() == 1146 and known.multiplicity.sum() == 14433
    assert (known.enum_ok == (known.position >= 0)).all() and (known.enum_ok.any(2) == known.site_ok).all()
    assert not known.site_ok[:, ALL.names[1] :].any() and not known.enum_ok[0].any()
    number, site, enum = np.nonzero(known.enum_ok)
    position = known.position[number, site, enum]
    assert (known.site[number, position] == site).all() and (known.enum[number, position] == enum).all()
    dof = [positions_of_type(n).dof[p] for n, p in zip(number, position, strict=True)]
    assert (known.freedom[number, site, enum] == dof).all()
    assert tables(MP20).enum_ok.sum() == 1731 - sum(
        int(np.isin(positions_of_type(n).symbol, np.flatnonzero(MP20.site_tokens < 0)).sum()) for n in range(1, 231)
    )


def test_tokens_are_the_crystals(light, tokens):
    found = decode(tokens.number, *sequence(tokens, ALL), vocabulary=ALL)
    assert found.valid.all() and found.stopped.all() and found.counts()["valid"] == len(light)
    assert (tokens.number == standard_numbers(light.sets)[light.set_index]).all()
    width = tokens.mask.shape[1]
    assert (found.z[:, :width][tokens.mask] == light.orbit_z).all() and (
        found.pos[:, :width][tokens.mask] == light.orbit_pos
    ).all()
    assert (found.z > 0).sum() == len(light.orbit_z) and (tokens.mask == (tokens.element != ALL.pad[0])).all()
    multiplicity = tables(ALL).multiplicity[tokens.number[:, None], tokens.site, tokens.enum]
    assert (multiplicity.sum(1) == light.num_atoms).all()


def test_published_vocabulary_has_other_numbers_for_the_same(light):
    kept = fits(light, MP20)
    ours = tokenize(light.subset(kept), MP20)
    assert (MP20.atomic_numbers[ours.element][ours.mask] == light.subset(kept).orbit_z).all()
    assert (
        decode(ours.number, *sequence(ours, MP20), vocabulary=MP20).pos[:, :20][ours.mask] == ours.pos[ours.mask]
    ).all()


def test_crystals_that_have_no_tokens(prototype_dataset, light):
    heavy = prototype_dataset.subset(np.unique(prototype_dataset.orbit_crystal[prototype_dataset.orbit_z > 94])[:1])
    with pytest.raises(
        InputError, match=rf"{heavy.ids[0]}.*elements outside the vocabulary 'all' of 94: (Am|Cf|Cm|Bk)"
    ):
        tokenize(heavy, ALL)
    with pytest.raises(InputError, match="more than 3 sites"):
        tokenize(light, ALL, 3)
    one = light.subset([0])
    shifted = OpSet(
        np.stack([np.eye(3), -np.eye(3)]).astype(np.int32), np.array([[0, 0, 0], [3, 0, 0]]), np.ones(2, bool), 24
    )
    foreign = replace(
        one, sets=build_set_table([shifted]), set_index=np.zeros(1, np.int32), orbit_pos=0 * one.orbit_pos
    )
    with pytest.raises(InputError, match="no standard setting"):
        tokenize(foreign, ALL)
    assert not fits(foreign, ALL).any()
    lacked = np.flatnonzero(MP20.site_tokens[positions_of_type(177).symbol] < 0)  # 622, in no crystal of MP-20
    lacking = replace(
        one,
        sets=build_set_table([standard_setting(177)]),
        set_index=np.zeros(1, np.int32),
        orbit_pos=0 * one.orbit_pos + lacked[0],
    )
    with pytest.raises(InputError, match=r"'mp20'.*'all'"):
        tokenize(lacking, MP20)
    assert fits(lacking, ALL).all() and not fits(lacking, MP20).any()


# Decoding --------------------------------------------------------------------------------------------------------------------


def reference(number, element, site, enum, vocabulary):
    """The published rules for one sequence, one slot after the other."""
    known, used, found = tables(vocabulary), set(), []
    for slot in zip(element, site, enum, strict=True):
        if any(a == b for a, b in zip(slot, vocabulary.stop, strict=True)):
            break
        if any(a == b for a, b in zip(slot, vocabulary.pad, strict=True)):
            return 1, []
        if any(a == b for a, b in zip(slot, vocabulary.mask, strict=True)):
            return 2, []
        position = int(known.position[number, slot[1], slot[2]])
        if position < 0:
            return 3, []
        if known.freedom[number, slot[1], slot[2]] == 0 and position in used:
            return 4, []
        used.add(position)
        found.append((int(vocabulary.atomic_numbers[slot[0]]), position))
    return (0, found) if found else (5, [])


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.floats(0.0, 0.3))
def test_decoding_follows_the_published_rules(seed, noise):
    rng = np.random.default_rng(seed)
    number = rng.integers(1, 231, 40)
    known = tables(ALL)
    pos = rng.integers(0, np.minimum(known.num_positions[number], rng.integers(1, 28, 40))[:, None], (40, 6))
    fields = [rng.integers(0, 94, (40, 6)), known.site[number[:, None], pos], known.enum[number[:, None], pos]]
    for field, size in zip(fields, ALL.sizes, strict=True):
        wrong = rng.random(field.shape) < noise
        service, any_token = rng.integers(size - 3, size, field.shape), rng.integers(0, size, field.shape)
        field[wrong] = np.where(rng.random(field.shape) < 0.5, service, any_token)[wrong]
    found = decode(number, *fields, vocabulary=ALL)
    for row in range(40):
        code, sites = reference(number[row], *(field[row] for field in fields), ALL)
        assert found.reason[row] == code
        real = found.z[row] > 0
        assert list(zip(found.z[row][real].tolist(), found.pos[row][real].tolist(), strict=True)) == sites
    assert sum(found.counts().values()) == 40


def test_each_reason_is_found():
    """Rock salt, and what is wrong with five variations of it, in the order of `REASONS`."""
    m3m, c43m = ALL.sites.index("m-3m"), ALL.sites.index("-43m")
    stop, pad, mask = ALL.stop, ALL.pad, ALL.mask
    rows = [
        [(10, m3m, 0), (16, m3m, 1), stop],
        [(10, m3m, 0), (16, pad[1], 1), stop],
        [(10, mask[1], 0), (16, m3m, 1), stop],
        [(10, c43m, 1), (16, m3m, 1), stop],
        [(10, m3m, 0), (16, m3m, 0), stop],
        [(10, m3m, stop[2]), (16, m3m, 0), stop],
    ]
    fields = np.moveaxis(np.array(rows), 2, 0)
    found = decode(np.full(6, 225), *fields, vocabulary=ALL)
    assert found.reason.tolist() == list(range(6)) and found.z[0].tolist() == [11, 17, 0] and not found.z[1:].any()
    assert found.counts() == dict.fromkeys(REASONS, 1)
    # without STOP a sequence is taken as it is; a position with free coordinates may be occupied repeatedly
    free = ALL.sites.index("4m.m")
    open_end = decode([225], [[10, 16]], [[free, free]], [[0, 0]], vocabulary=ALL)
    assert open_end.valid.all() and not open_end.stopped.any() and (open_end.z > 0).sum() == 2


@pytest.mark.parametrize(
    ("number", "element", "says"),
    [
        ([0], [[1]], "from 1 to 230, got 0"),
        ([231], [[1]], "got 231"),
        ([1, 2], [[1]], "three arrays"),
        ([1], [[97]], "0 to 96.*another table version"),
    ],
)
def test_tokens_that_are_none(number, element, says):
    with pytest.raises(InputError, match=says):
        decode(number, element, [[1]], [[0]], vocabulary=ALL)


# Equivalent representations --------------------------------------------------------------------------------------------------


def test_example_of_the_paper():
    """Figure 3: TmMgHg2 in group 225, Mg and Tm exchange their letters; h and i go along."""
    heusler = crystal(225, [("Mg", "a"), ("Tm", "b"), ("Hg", "c")], MP20)
    found = all_variants(heusler, 0, MP20)
    rows = zip(found.site[:, :3].tolist(), found.enum[:, :3].tolist(), strict=True)
    names = [[(MP20.sites[s], e) for s, e in zip(*row, strict=True)] for row in rows]
    assert names == [[("m-3m", 0), ("m-3m", 1), ("-43m", 0)], [("m-3m", 1), ("m-3m", 0), ("-43m", 0)]]
    assert letters_of(all_variants(crystal(225, [("O", "h"), ("O", "a")]), 0, ALL), 1) == "ib"
    assert len(all_variants(crystal(225, [("Hg", "c")]), 0, ALL)) == 1


def test_published_flaw_is_an_option():
    """Group 16: exchanging the axes turns 2.. into ..2; the published code keeps the symbol, which gives another position."""
    tokens = crystal(16, [("O", "i"), ("Ti", "r")])
    right, published = all_variants(tokens, 0, ALL), all_variants(tokens, 0, ALL, faithful=True)
    assert len({ALL.sites[s] for s in right.site[:, 0]}) == 3 and len({ALL.sites[s] for s in published.site[:, 0]}) == 1
    for one, valid in ((right, True), (published, False)):
        position = tables(ALL).position[one.number[:, None], one.site, one.enum][one.mask].reshape(-1, 2)
        assert (position >= 0).all()
        z = np.where(one.mask, ALL.atomic_numbers[one.element], 0)[:, :2]
        assert (len(set(fingerprints(one.number, z, position))) == 1) == valid


def test_permutations_stay_within_the_published_vocabulary():
    known = tables(MP20)
    for number in range(1, 231):
        inside = known.site[number, : known.num_positions[number]] < MP20.names[1]
        assert (inside[normalizer(number).permutations] == inside).all()


def test_drawn_representations_are_equally_likely(tokens):
    """Over 2,000 draws every distinct representation of a crystal comes equally often, and none that is not one."""
    row = int(np.flatnonzero(count_variants(tokens) == 6)[0])
    many, known = tokens.take(np.full(2000, row)), variants(ALL)
    drawn = jax.tree.map(np.asarray, jax.jit(draw_variants)(known, jax.random.key(3), many))
    counts = Counter(map(bytes, drawn.pos))
    assert set(counts) == set(map(bytes, all_variants(tokens, row, ALL).pos)) and len(counts) == 6
    assert (
        sum((n - 2000 / 6) ** 2 / (2000 / 6) for n in counts.values()) < 20.5
    )  # chi-squared, 5 degrees of freedom, p = 0.001


def test_drawing_keeps_the_crystals(tokens):
    drawn = jax.tree.map(np.asarray, jax.jit(draw_variants)(variants(ALL), jax.random.key(0), tokens))
    z = np.where(tokens.mask, ALL.atomic_numbers[tokens.element], 0)
    assert fingerprints(drawn.number, z, drawn.pos) == fingerprints(tokens.number, z, tokens.pos)
    assert (
        (drawn.pos != tokens.pos).any()
        and (drawn.mask == tokens.mask).all()
        and (drawn.element == tokens.element).all()
    )
    assert (
        tables(ALL).position[drawn.number[:, None], drawn.site, drawn.enum][drawn.mask] == drawn.pos[drawn.mask]
    ).all()
    assert (drawn.site[~drawn.mask] == ALL.pad[1]).all() and (drawn.enum[~drawn.mask] == ALL.pad[2]).all()
    same = jax.tree.map(np.asarray, apply_variant(variants(ALL), tokens, np.zeros(len(tokens), np.int32)))
    assert all((a == b).all() for a, b in zip(jax.tree.leaves(same), jax.tree.leaves(tokens), strict=True))


def test_counts_of_representations(tokens, monkeypatch):
    counts = count_variants(tokens)
    some = range(0, len(tokens), 7)
    assert [len(all_variants(tokens, row, ALL)) for row in some] == counts[list(some)].tolist()
    monkeypatch.setattr(variants_module, "_CHUNK", 50)
    assert (count_variants(tokens) == counts).all()
    with pytest.raises(InputError, match="row 1000"):
        all_variants(tokens, 1000, ALL)


@settings(max_examples=40)
@given(st.integers(0, 2**31))
def test_canonical_form_ignores_what_means_nothing(seed):
    """Order of sites, choice of representation and padding do not matter; another element or position does."""
    rng = np.random.default_rng(seed)
    number = rng.integers(1, 231, 30)
    size = tables(ALL).num_positions[number]
    pos, z = rng.integers(0, size[:, None], (30, 5)), rng.integers(1, 4, (30, 5))
    permutation = [normalizer(int(n)).permutations for n in number]
    moved = np.array([p[rng.integers(len(p))][row] for p, row in zip(permutation, pos, strict=True)])
    order = rng.permuted(np.tile(np.arange(5), (30, 1)), axis=1)
    shuffled = [np.pad(np.take_along_axis(a, order, 1), ((0, 0), (0, 2))) for a in (z, moved)]
    assert fingerprints(number, *shuffled) == fingerprints(number, z, pos)
    other = z.copy()
    other[np.arange(30), rng.integers(0, 5, 30)] += 7
    assert not set(fingerprints(number, other, pos)) & set(fingerprints(number, z, pos))
    plain = canonical(number, z, pos, normalize=False)
    assert (np.sort(plain, 1) == np.sort(32 * z + pos, 1)).all()


def test_canonical_form_agrees_with_the_words_of_evaluation(tokens):
    """Two crystals have one fingerprint exactly if `symjax.evaluate.words.gene` gives them one word."""
    from symjax.evaluate import words

    few = tokens.take(np.flatnonzero(tokens.mask.sum(1) <= 4))
    z = np.where(
        few.mask, 1 + ALL.atomic_numbers[few.element] % 3, 0
    )  # three elements, so that many crystals are equal
    found = fingerprints(few.number, z, few.pos)
    genes = [
        words.gene(int(n), [(a, wyckoff_letters(int(n))[p]) for a, p, m in zip(zs, ps, ms, strict=True) if m])
        for n, zs, ps, ms in zip(few.number, z, few.pos, few.mask, strict=True)
    ]
    assert len(set(found)) == len(set(genes)) == len(set(zip(found, genes, strict=True))) < len(genes)
