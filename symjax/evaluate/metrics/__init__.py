"""The metrics of every table, one module a paper; `FAMILIES` names them for the command line and the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symjax.errors import InputError
from symjax.evaluate.metrics import (
    adaptor,
    chemistry,
    coverage,
    invariants,
    lemat,
    operations,
    stability,
    symmcd,
    wyckoff_transformer,
    wyckoffaugen,
)
from symjax.evaluate.metrics.common import Findings, Skipped, Study

__all__ = ["FAMILIES", "Family", "Findings", "Skipped", "Study", "choose"]


@dataclass(frozen=True)
class Family:
    """Metrics that are made together.

    Attributes:
        key: what `--metrics` calls them.
        title: heading in the report.
        figures: makes them.
        needs: stages beyond the cheap ones: ``fingerprint``, ``operations``, ``chemistry``, ``stability``.
    """

    key: str
    title: str
    figures: Callable[[Study], Findings]
    needs: tuple[str, ...] = ()


FAMILIES = {
    family.key: family
    for family in (
        Family("symmcd", "SymmCD, tables 1 to 3 (CDVAE lineage)", symmcd.figures),
        Family("coverage", "Coverage and diversity of fingerprints", coverage.figures, ("fingerprint",)),
        Family("wyckoff_transformer", "WyckoffTransformer, tables 1 and 2", wyckoff_transformer.figures),
        Family("wyckoffaugen", "WyckoffAUGen, table 1", wyckoffaugen.figures),
        Family("adaptor", "WyckoffDiff-Adaptor: requested groups", adaptor.figures),
        Family("operations", "Operations (symjax)", operations.figures, ("operations",)),
        Family("chemistry", "Chemistry: charges, contacts, bonds (symjax)", chemistry.figures, ("chemistry",)),
        Family("invariants", "Continuous novelty and diversity (AMD, PDD)", invariants.figures),
        Family("lemat", "LeMat-GenBench style", lemat.figures),
        Family("stability", "Stability with a universal potential", stability.figures, ("stability",)),
    )
}
DEFAULT = tuple(key for key in FAMILIES if key != "stability")


def choose(names: str | None) -> tuple[Family, ...]:
    """Families by their names separated by commas; ``all`` for all, ``-name`` to leave one out of those before it.

    Raises:
        InputError: a name that does not exist.
    """
    chosen: list[str] = []
    for raw in (names or ",".join(DEFAULT)).split(","):
        name = raw.strip()
        wanted = {"all": tuple(FAMILIES), "default": DEFAULT}.get(name.lstrip("-"), (name.lstrip("-"),))
        unknown = [key for key in wanted if key not in FAMILIES]
        if unknown:
            raise InputError(
                f"metrics {unknown[0]!r} do not exist; there are {', '.join(FAMILIES)}, and the words default and all"
            )
        if name.startswith("-"):
            chosen = [key for key in (chosen or list(DEFAULT)) if key not in wanted]
        else:
            chosen += [key for key in wanted if key not in chosen]
    if not chosen:
        raise InputError(f"--metrics {names!r} leaves nothing to do")
    return tuple(FAMILIES[key] for key in FAMILIES if key in chosen)
