"""The rows of ScoreHOI's tables: what each changes in the refinement, and what the paper measured on BEHAVE."""

import dataclasses
import re

from hoijax.experiments.common import ablate
from hoijax.experiments.common.recipes import change_settings
from hoijax.systems.scorehoi import GuidedConfig


@dataclasses.dataclass(frozen=True)
class GuidanceVariant(ablate.Variant):
    """One row; changes are those of `GuidedConfig`, the paper's numbers body and object Chamfer distance in cm, contact
    precision, recall and F, or some of them."""

    method: str = "scorehoi"
    """"scorehoi", "regressor" (its answer and the mesh refiner's, no diffusion), "estimate" (its answer alone), or
    "gradient": the answer refined by gradient steps on contact and penetration, in as much time as N = 10 takes."""
    base: str = "denoising"
    """Settings that the row changes: "denoising" (hoijax's own, `GuidedConfig.denoising`) or "paper"."""
    stage: str = "guided"
    """Whose answer counts after the diffusion: "guided", its own, or "refined", the mesh refiner's (the paper)."""
    image: bool = True
    """Whether the denoiser sees the image, c_I."""
    geometry: bool = True
    """Whether it sees the object, c_G."""

    def __post_init__(self):
        if self.stage not in ("guided", "refined"):
            raise ValueError(f"stage must be guided or refined, got {self.stage!r}")

    @property
    def conditions(self) -> tuple[str, ...]:
        """What the denoiser sees."""
        return tuple(name for name in ("image", "geometry") if getattr(self, name))

    def guidance(self, step: int) -> GuidedConfig:
        """The settings of this row; `step` is the paper's where the row does not say its own."""
        base = GuidedConfig.denoising() if self.base == "denoising" else GuidedConfig(step=step)
        return change_settings(base, self.changes)

    def slug(self, step: int) -> str:
        """A folder's name that tells these predictions from those of other rows and steps."""
        config, usual = self.guidance(step), GuidedConfig()
        names = [field.name for field in dataclasses.fields(config)]
        changed = {n: getattr(config, n) for n in names if getattr(config, n) != getattr(usual, n)}
        settings = {"method": self.method, "stage": self.stage, "image": self.image, "geometry": self.geometry}
        text = "_".join(f"{k}-{v}" for k, v in (settings | changed).items())
        return re.sub(r"[^A-Za-z0-9_.-]", "", text)


def _with(name: str, *paper: float, base: str = "denoising", **changes: object) -> GuidanceVariant:
    return GuidanceVariant(name, changes=changes, base=base, paper=paper)


FULL = GuidanceVariant("full", paper=(4.85, 7.86, 0.634, 0.586, 0.609))
_NO_GUIDANCE = {"contact": 0.0, "floor": 0.0, "penetration": 0.0}

PAPER = GuidanceVariant("the paper's settings", base="paper", paper=FULL.paper)

TABLES: dict[str, tuple[GuidanceVariant, ...]] = {
    "1": (
        GuidanceVariant("regressor's estimate", method="estimate"),
        GuidanceVariant("regressor and mesh refiner", method="regressor", paper=(4.99, 8.42, 0.628, 0.496, 0.554)),
        GuidanceVariant("gradient refiner, equal time", method="gradient"),
        PAPER,
        FULL,
    ),
    "2": (_with("N = 2", 4.87, 7.95, base="paper", iterations=2), PAPER, FULL),
    "3": (
        GuidanceVariant("without diffusion", method="estimate", paper=(5.03, 8.48, 0.612, 0.523, 0.588)),
        _with("contact predicted once", 4.93, 7.98, 0.628, 0.545, 0.577, feedback="released"),
        GuidanceVariant("no condition", image=False, geometry=False, paper=(4.94, 8.23, 0.626, 0.549, 0.585)),
        GuidanceVariant("without the object, c_G", geometry=False, paper=(4.87, 7.99, 0.628, 0.559, 0.591)),
        GuidanceVariant("without the image, c_I", image=False, paper=(4.88, 8.03, 0.631, 0.566, 0.597)),
        _with("no guidance", 4.93, 8.01, 0.624, 0.524, 0.570, **_NO_GUIDANCE),
        _with("without contact, L_ho", 4.87, 7.95, 0.632, 0.525, 0.574, contact=0.0),
        _with("without penetration, L_pt", 4.87, 7.93, 0.619, 0.567, 0.592, penetration=0.0),
        _with("without floor, L_of", 4.89, 7.95, 0.631, 0.577, 0.602, floor=0.0),
        FULL,
    ),
    "4": tuple(
        _with(f"N = {n}, tau = {tau}, dt = {dt}", *paper, base="paper", iterations=n, noise_level=tau, step=dt)
        for n, tau, dt, *paper in (
            (10, 50, 25, 5.80, 10.70, 0.539), (10, 50, 10, 5.22, 8.72, 0.584), (10, 50, 5, 4.99, 8.16, 0.569),
            (2, 50, 2, 4.87, 7.95, 0.604), (5, 50, 2, 4.86, 7.87, 0.607), (20, 50, 2, 4.87, 7.89, 0.610),
            (10, 25, 2, 4.87, 7.95, 0.606), (10, 100, 2, 4.88, 8.07, 0.615), (10, 50, 2, 4.85, 7.86, 0.609),
        )
    ),
    "A": (_with("N = 2", base="paper", iterations=2), PAPER, FULL),
}  # fmt: skip
"""Rows by table. The paper's CONTHO row stands beside the regressor with mesh refiner, which has its architecture.
Tables 1 and 3 are of hoijax's own settings, table 4 of the paper's, whose inversion hands back what the regressor said
but for what the losses move."""

PAPER_SPEED = {"N = 2": 2.0080, PAPER.name: 0.2895}
"""Images per second in the paper (tables 2 and A, RTX 4090)."""
