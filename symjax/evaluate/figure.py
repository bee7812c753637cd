"""One figure of a report: a value with everything that is needed to read it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple


class Floor(NamedTuple):
    """What real data score at the same numbers: the figure if samples and reference were drawn from one source.

    Attributes:
        mean: mean over draws.
        sd: standard deviation over draws.
        num: crystals on the side of the samples in a draw.
        against: crystals on the side of the reference in a draw.
    """

    mean: float
    sd: float
    num: int
    against: int


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        key: stable name, ``family.figure``.
        name: short name to print.
        value: the figure; NaN where it does not exist (no crystal in the denominator).
        num: the denominator: crystals it is over.
        definition: what exactly was counted.
        source: paper or code the definition is from, with its table.
        unit: unit of the value, empty for shares and distances without one.
        tolerance: tolerances in words.
        better: ``higher``, ``lower`` or empty.
        interval: 95 % interval of a share in the source of the samples (Wilson); distances have none, see ``floor`` and ``p``.
        floor: what real data score at the same numbers.
        p: probability of a value as far off if the samples were drawn like the reference; NaN where nothing is compared.
        reference: the same figure of the reference data, NaN where it makes no sense.
        num_reference: crystals of the reference that it is compared with; 0 where nothing is compared.
        count: whether the value is a number of things and not a share or a distance.
        note: anything a reader must know before comparing.
    """

    key: str
    name: str
    value: float
    num: int
    definition: str
    source: str = ""
    unit: str = ""
    tolerance: str = ""
    better: str = ""
    interval: tuple[float, float] | None = None
    floor: Floor | None = None
    p: float = math.nan
    reference: float = math.nan
    num_reference: int = 0
    count: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values; NaN becomes null."""
        row = asdict(self)
        row["floor"] = None if self.floor is None else {k: plain(v) for k, v in self.floor._asdict().items()}
        row["interval"] = None if self.interval is None else [plain(v) for v in self.interval]
        return {key: plain(value) for key, value in row.items()}


def plain(value: Any) -> Any:
    """A value for JSON: numbers that are not finite become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
