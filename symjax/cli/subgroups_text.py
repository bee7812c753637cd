"""The report of `symjax subgroups` as text: a tree on the screen."""

from __future__ import annotations

from typing import Any

from symjax.navigate.notation import CONVENTION, IDENTITY

PATHS_SHOWN = 6
SETS_SHOWN = 3


def show(report: dict[str, Any]) -> None:
    """Print a report (the dictionary that `--json` prints)."""
    import sys

    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    console = Console(width=None if sys.stdout.isatty() else 132, highlight=False, markup=False)
    tree = Tree(Text("\n".join(_parent_lines(report))), guide_style="dim")
    for about in report["subgroups"]:
        _grow(tree, about, _axes(report))
    console.print(tree)
    for label, text in _without_name(report["subgroups"]).items():
        console.print(f"{label} is no standard label; {text}")
    console.print(CONVENTION)


def _without_name(subgroups: list[dict[str, Any]]) -> dict[str, str]:
    """Characters of the irreps that have no standard label, by what they are called here."""
    found: dict[str, str] = {}
    for about in subgroups:
        for chosen in about.get("primary", [])[:SETS_SHOWN]:
            found |= {one["irrep"]: one["characters"] for one in chosen if "characters" in one}
        found |= _without_name(about.get("children", []))
    return found


def _grow(tree: Any, about: dict[str, Any], axes: dict[str, str]) -> None:
    """Add a subgroup, its own subgroups and its paths."""
    from rich.text import Text

    first, *rest = _subgroup_lines(about, axes)
    label = Text(first, style="bold")
    label.append("\n" + "\n".join(rest), style="not bold")
    branch = tree.add(label)
    for child in about.get("children", []):
        _grow(branch, child, {})
    if "paths_refused" in about:
        branch.add(Text(f"paths: {about['paths_refused']}"))
    paths = about.get("paths", [])
    if len(paths) == 1 and len(paths[0]["steps"]) == 1:
        return  # a maximal subgroup: the path is the relation itself
    for i, path in enumerate(paths):
        times = "" if path["count"] == 1 else f", {path['count']} equivalent"
        name = f"path {i + 1} of {len(paths)}{times}: {_short(path)}"
        inner = branch.add(Text(name))
        if i < PATHS_SHOWN:
            for step in path["steps"]:
                inner.add(Text(_step_line(step)))


def _axes(report: dict[str, Any]) -> dict[str, str]:
    """Axes other than the standard ones that changes of basis are told in: what they are called, and their key."""
    named = {"the file": "file", report.get("setting", {}).get("name", ""): "setting"}
    return {name: way for name, way in named.items() if report.get(f"{way}_to_standard", IDENTITY) != IDENTITY}


def _parent_lines(report: dict[str, Any]) -> list[str]:
    parent = report["parent"]
    name = f"{parent['symbol']} ({parent['number']})"
    if report["file"]:
        name = f"{report['file']}: {report['formula']}, {name}"
    traits = [parent["crystal_system"], f"class {parent['point_group']}"]
    traits += [trait for trait in ("centrosymmetric", "polar", "chiral") if parent[trait]]
    free = f"free: cell {','.join(parent['lattice_parameters'])}"
    if "orbits" in parent:
        free += f", {_count(parent['free_coordinates'], 'coordinate')}"
    lines = [name, f"{', '.join(traits)}; {free}"]
    if "orbits" in parent:
        told = f"in {report['setting']['name']}: " if "setting" in report else ""
        lines.append(
            told
            + _wrap(
                [f"{o['element']} {o['letter']} {o['site_symmetry']} ({o['coordinates']})" for o in parent["orbits"]]
            )
        )
    for name, way in _axes(report).items():
        lines.append(f"standard setting in the axes of {name}: [{report[f'{way}_to_standard']}]")
    asked, classes = report["asked"], _count(len(report["subgroups"]), "class", "classes")
    if "irrep" in asked:
        named = "; ".join(
            f"{one['irrep']}: {one['k']}, {_count(one['arms'], 'arm')}, {_count(one['dimension'], 'component')}"
            + ("" if one["standard"] else "; no standard label: numbered here by dimension and characters, given below")
            for one in asked["irrep"]
        )
        lines.append(f"{classes} of isotropy subgroups of {named}")
    elif asked["selection"] == "any" and not asked["all"]:
        k = f" and klassengleiche up to index {asked['max_index']}" if asked["max_index"] > 1 else ""
        lines.append(f"{classes} of maximal subgroups: all translationengleiche{k}")
    else:
        chosen = "subgroups" if asked["selection"] == "any" else f"subgroups: {asked['selection']}"
        lines.append(f"{classes} of {chosen}; cells up to {asked['max_cell']} times the parent's")
    return lines


def _subgroup_lines(about: dict[str, Any], axes: dict[str, str]) -> list[str]:
    """A subgroup: name and setting (also in other axes), kind and what it is, freedoms, splitting."""
    lines = [
        f"{about['symbol']} ({about['number']})   index {about['index']}   {about['kind_in_words']}   "
        f"{_conjugates(about)}   [{about['basis']}; {about['origin']}]"
    ]
    what = list(about["changes"])
    if about["polar_directions"] and "polar" in what:
        what[what.index("polar")] = "polar along " + " and ".join(_direction(v) for v in about["polar_directions"])
    free = f"cell {','.join(about['lattice_parameters'])} (+{about['freed_lattice']})"
    if "orbits" in about:
        free += f", coordinates {about['free_coordinates']}, displacement modes +{about['freed_displacements']}"
        strains, displacements = about["order_parameter_strains"], about["order_parameter_displacements"]
        coupled = about["realized"] is None and not strains and not displacements
        free += (
            f"; order parameter: {'several coupled, no one mode alone' if coupled else _modes(strains, displacements)}"
        )
        if about["uniform_translations"]:
            free += f" (and {_count(about['uniform_translations'], 'uniform translation')})"
    lines.append(f"{'; '.join(what) + '; ' if what else ''}free: {free}")
    told = [name for name, way in axes.items() if way == "setting"] or list(axes)  # the setting that was asked for
    lines += [f"in the axes of {name}: [{about[f'from_{axes[name]}']}]" for name in told]
    if "in_setting" in about:
        lines.append(f"to {about['in_setting']['name']}: [{about['in_setting']['change']}]")
    if about.get("primary"):
        lines.append(f"irrep: {_irreps(about['primary'])}")
    elif "irreps_refused" in about:
        lines.append(f"irrep: {about['irreps_refused']}")
    if "orbits" in about:
        lines.append(_wrap([_split_text(orbit) for orbit in about["orbits"]]))
        if about["realized"] is not None:
            kept = about["realized"]
            lines.append(
                f"these atoms cannot have it: whatever is free in it keeps {kept['symbol']} ({kept['number']})"
            )
    return lines


def _irreps(sets: list[list[dict[str, Any]]]) -> str:
    """Primary irreps with their directions; several ways are parted by "or"."""
    texts = [" + ".join(f"{one['irrep']} {one['direction']}" for one in chosen) for chosen in sets[:SETS_SHOWN]]
    more = f" or {len(sets) - SETS_SHOWN} more" if len(sets) > SETS_SHOWN else ""
    return " or ".join(texts) + more


def _conjugates(about: dict[str, Any]) -> str:
    other = about["other_hand"]
    if other is None:
        return _count(about["conjugates"], "conjugate")
    return (
        f"{_count(about['conjugates'], 'conjugate')} of this hand, {other['conjugates']} of the other: {other['symbol']} "
        f"({other['number']})"
    )


def _split_text(orbit: dict[str, Any]) -> str:
    pieces = " + ".join(
        f"{one['letter']} ({one['coordinates']}{'; ' + one['free_coordinates'] + ' free' if one['free'] else ''})"
        for one in orbit["into"]
    )
    return f"{orbit['element']} {orbit['letter']} -> {pieces}"


def _step_line(step: dict[str, Any]) -> str:
    text = f"{step['label']}  {step['symbol']} ({step['number']})  [{step['basis']}; {step['origin']}]"
    if "order_parameter_displacements" in step:
        text += f"  order parameter: {_modes(step['order_parameter_strains'], step['order_parameter_displacements'])}"
    elif step["freed_lattice"]:
        text += f"  lattice +{step['freed_lattice']}"
    return text + (f"  {', '.join(step['changes'])}" if step["changes"] else "")


def _short(path: dict[str, Any]) -> str:
    return " ".join(f"-{step['label']}-> {step['symbol']}" for step in path["steps"])


def _modes(strains: int, displacements: int) -> str:
    if not strains and not displacements:
        return "none"
    parts = [_count(displacements, "displacement mode")] if displacements else []
    return " and ".join(parts + ([_count(strains, "strain")] if strains else []))


def _count(number: int, noun: str, many: str | None = None) -> str:
    return f"{number} {noun if number == 1 else many or noun + 's'}"


def _direction(vector: list[int]) -> str:
    return (
        f"[{','.join(str(v) for v in vector)}]" if max(map(abs, vector)) > 9 else f"[{''.join(str(v) for v in vector)}]"
    )


def _wrap(parts: list[str]) -> str:
    return "; ".join(parts)
