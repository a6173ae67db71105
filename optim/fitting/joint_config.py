"""Stages of a joint fit and the named settings: hoijax's own, InteractVLM's as released, PICO's."""

import dataclasses
from typing import Literal

from hoijax.errors import InputError
from hoijax.optim.fitting.contact_align import AlignConfig
from hoijax.optim.fitting.object_starts import Hypotheses

WEIGHTS = ("contact", "mask", "centroid", "penetration", "normals", "scale_prior", "order", "pose_prior", "person")
"""The terms that a stage weighs."""


@dataclasses.dataclass(frozen=True)
class Rates:
    """Step sizes of Adam; 0 holds a variable."""

    rotation: float = 0.05
    """Of the object's six numbers."""
    translation: float = 0.01
    """Metres."""
    scale: float = 0.0
    """Of the object's size."""
    joints: float = 0.0
    """Radians, of the limbs that touch."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """Some steps under one energy; static. Weights of zero switch terms off."""

    steps: int
    rates: Rates = dataclasses.field(default_factory=Rates)
    decay: float = 1.0
    """The rates' factor at the last step, reached along a cosine."""
    contact: float = 0.0
    """Weight of contact, of metres (squared metres for pairs)."""
    contact_form: Literal["nearest", "mean", "pairs"] = "nearest"
    """"nearest": soft nearest points both ways; "mean": the released mean over all pairs weighted by both
    probabilities, which no extended contact makes zero; "pairs": squared distances of points that belong together."""
    bound: float = 0.0
    """Metres that no single point's distance counts for more than, of "nearest": 1 / distance + 1 / bound. At the bound
    a point pulls a quarter as hard, so that contact that a pose cannot meet loses its say; 0: distances as they are."""
    mask: float = 0.0
    """Weight of the object's silhouette."""
    mask_form: Literal["dice", "half_dice", "iou"] = "dice"
    """"dice": 1 - Dice over pixels that nobody hides, outlines blurred by `blur`; "half_dice": the released
    1 - Dice / 2, the mask of what is seen against all of a soft silhouette; "iou": PICO's, with a third of the middles'
    distance."""
    blur: tuple[float, float] = (0.03, 0.01)
    """Of "dice", shares of the target's side at the first and the last step."""
    centroid: float = 0.0
    """Weight of the squared distance in pixels of the silhouette's middle from the mask's box's (released)."""
    penetration: float = 0.0
    """Weight of the mean depth of the deepest of the body's points in the object, metres."""
    normals: float = 0.0
    """Weight of 1 + cosine between the normals at contact."""
    scale_prior: float = 0.0
    """Weight of the squared logarithm of the size (of the squared difference from 1 with "iou")."""
    order: float = 0.0
    """Weight of standing before the person where the person is seen, or behind where the object is."""
    pose_prior: float = 0.0
    """Weight of the mean squared change of the limbs' joints, radians."""
    person: float = 0.0
    """Weight of the person's silhouette, 1 - overlap."""

    def __post_init__(self):
        if self.steps < 1 or not 0 < self.decay <= 1 or min(self.blur) <= 0:
            raise InputError(f"a stage needs a step, a decay in (0, 1] and blurs above zero, got {self}")
        if self.centroid > 0 and self.mask_form == "dice":
            raise InputError("the centroid is that of a soft silhouette: wanted mask_form half_dice or iou with it")
        if min(dataclasses.astuple(self.rates)) < 0 or min(getattr(self, name) for name in WEIGHTS) < 0:
            raise InputError(f"rates and weights must not be negative, got {self}")
        if self.bound < 0 or (self.bound > 0 and self.contact_form != "nearest"):
            raise InputError(f"a bound must not be negative and is for nearest contact, got {self}")


@dataclasses.dataclass(frozen=True)
class JointConfig:
    """How body and object are fitted together; static."""

    stages: tuple[Stage, ...]
    """One after the other."""
    start: Literal["contacts", "released", "standing"] = "contacts"
    """"contacts": closest points from many turns, the best by contact and mask; "released": the released alignment;
    "standing": upright, its middle at the centroid of the body's surface."""
    turns: Hypotheses = dataclasses.field(default_factory=lambda: Hypotheses(yaws=16, tilts=(0.0,), lying=3, free=49))
    """Of the start "contacts"."""
    kept: int = 3
    """How many starts are followed."""
    align: AlignConfig = dataclasses.field(default_factory=AlignConfig)
    """Of the start "contacts"."""
    apart: float = 0.35
    """Radians between starts that are followed."""
    margin: float | None = None
    """Where the mask's answers are given as well, the one that agrees best with the picture is always followed, and
    answers are set aside whose picture (the last stage's mask and order) costs more than its own by this. None: energy
    alone decides."""

    def __post_init__(self):
        if not self.stages or not 1 <= self.kept <= self.turns.count or (self.margin is not None and self.margin < 0):
            raise InputError(f"a joint fit needs a stage and a start, got {self}")

    @property
    def needs_pairs(self) -> bool:
        """Whether points must be paired."""
        return any(stage.contact > 0 and stage.contact_form == "pairs" for stage in self.stages)


_COARSE = Stage(
    60, Rates(0.05, 0.015, 0.01), contact=5.0, bound=0.1, mask=3.0, blur=(0.05, 0.02), normals=0.1, scale_prior=50.0,
    order=0.5,
)  # fmt: skip
_FINE = Stage(
    120, Rates(0.03, 0.01, 0.01, 0.01), decay=0.1, contact=5.0, bound=0.1, mask=5.0, blur=(0.02, 0.006),
    penetration=60.0, normals=0.1, scale_prior=50.0, order=0.5, pose_prior=5.0,
)  # fmt: skip
JOINT = JointConfig((_COARSE, _FINE), margin=0.02)
"""hoijax's own: many starts, then contact, masks, depth order and penetration, then the limbs too; an
answer that the picture contradicts gives way to the mask's. The size is held as one that is known to a tenth, and
contact that a pose cannot meet loses its say: predicted contact is as often wrong as right. Weights, bound and margin
were chosen on fourteen samples of SynthHOI's dev split (docs/interactvlm.md)."""
RELEASED = JointConfig(
    (Stage(250, Rates(0.05, 0.01), contact=10.0, contact_form="mean", mask=5.0, mask_form="half_dice", centroid=1e-4),),
    start="released", kept=1,
)  # fmt: skip
"""InteractVLM's code: one alignment, one stage, the size fixed, the body too, nothing against penetration."""
PICO = JointConfig(
    (
        Stage(250, Rates(0.04, 0.02), contact=1.0, contact_form="pairs"),
        Stage(1500, Rates(0.04, 0.03, 0.02), contact=8.0, contact_form="pairs", mask=0.3, mask_form="iou",
              scale_prior=4.0),
        Stage(1000, Rates(0.0, 0.0, 0.0, 0.01), contact=8.0, contact_form="pairs", pose_prior=0.05, person=0.1),
    ),
    start="standing", kept=1,
)  # fmt: skip
"""PICO-fit: paired points, then the picture and the size, then the limbs that touch."""
PRESETS: dict[str, JointConfig] = {"joint": JOINT, "released": RELEASED, "pico": PICO}


def preset(name: str, size_std: float = 0.1) -> JointConfig:
    """A named setting for a mesh whose size is known so well.

    Args:
      name: of `PRESETS`; the published ones know nothing of sizes and stay as they are.
      size_std: standard deviation of the logarithm of the mesh's size over the true one.
    """
    config = PRESETS[name]
    if config is not JOINT:
        return config
    share = (0.1 / size_std) ** 2  # the stages' own prior is that of a tenth
    return dataclasses.replace(
        config, stages=tuple(dataclasses.replace(s, scale_prior=share * s.scale_prior) for s in config.stages)
    )
