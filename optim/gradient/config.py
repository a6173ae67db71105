"""What the refiner moves, in which order, and how strongly each term pulls."""

import dataclasses
import itertools
import math

GROUPS: tuple[str, ...] = (
    "root", "translation", "torso", "arms", "legs", "left_hand", "right_hand", "betas", "object_rotation",
    "object_translation", "object_scale",
)  # fmt: skip
"""Groups of variables that may move."""

ALIASES: dict[str, tuple[str, ...]] = {
    "body": ("torso", "arms", "legs"),
    "hands": ("left_hand", "right_hand"),
    "pose": ("root", "torso", "arms", "legs", "left_hand", "right_hand"),
    "object": ("object_rotation", "object_translation", "object_scale"),
    "person": ("root", "translation", "torso", "arms", "legs", "left_hand", "right_hand", "betas"),
}
"""Short names of several groups, accepted wherever groups are named."""


def expand_groups(names: tuple[str, ...]) -> tuple[str, ...]:
    """Groups named directly or by an alias, in the order of `GROUPS`.

    Raises:
      ValueError: a name is neither a group nor an alias.
    """
    wanted = set()
    for name in names:
        if name not in GROUPS and name not in ALIASES:
            raise ValueError(f"unknown group {name!r}; the groups are {GROUPS} and the aliases {tuple(ALIASES)}")
        wanted.update(ALIASES.get(name, (name,)))
    return tuple(g for g in GROUPS if g in wanted)


@dataclasses.dataclass(frozen=True)
class PerGroup:
    """One number per group, in the group's unit: radians, metres, standard deviations (betas), log scale."""

    root: float
    translation: float
    torso: float
    arms: float
    legs: float
    left_hand: float
    right_hand: float
    betas: float
    object_rotation: float
    object_translation: float
    object_scale: float

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of the energy's terms; each term is near one when something is off by a centimetre, or by its width."""

    contact: float = 1.0
    """Asked-for body parts lie on the object, asked-for object points on the body."""
    penetration: float = 1.0
    """Body points outside the object."""
    interior: float = 1.0
    """Object points outside the body."""
    floor: float = 1.0
    """Feet and resting object points on the floor, nothing below it."""
    limits: float = 1.0
    """Joints inside their limits."""
    stay: float = 1.0
    """Everything near the estimate."""
    landmarks: float = 1.0
    """Landmarks where a picture shows them; this and the next two where a picture is given (`picture`)."""
    outline: float = 1.0
    """Body and object within their outlines."""
    order: float = 1.0
    """Of body and object that in front which is seen."""


@dataclasses.dataclass(frozen=True)
class RefineStage:
    """One stage: some groups move for some steps under fixed weights."""

    name: str
    """Shown as the progress of a run."""
    steps: int
    """Largest number of gradient steps."""
    groups: tuple[str, ...] = GROUPS
    """Groups that move, aliases allowed; what is not listed is held."""
    rate: float = 1.0
    """Multiplies every learning rate at first."""
    final_rate: float = 0.1
    """What `rate` falls to, as a fraction of it: along a cosine, and faster where the energy no longer falls."""
    facing: float = 0.4
    """Contact is sought on surfaces that face each other: looking the same way counts like this distance, metres."""
    let_go: float = math.inf
    """Parts and feet that are this far from what they should touch pull half as hard, farther ones ever less, metres:
    in the last stages what is asked for but cannot be offered must not tear the rest apart."""
    weights: Weights = Weights()
    """Of the energy's terms in this stage."""

    def __post_init__(self):
        if self.steps < 0:
            raise ValueError(f"steps of stage {self.name!r} must not be negative, got {self.steps}")
        expand_groups(self.groups)


DEFAULT_STAGES: tuple[RefineStage, ...] = (
    RefineStage("align", 60, ("root", "translation", "object"), weights=Weights(penetration=0.02, interior=0.02)),
    RefineStage("reach", 60, weights=Weights(penetration=0.1, interior=0.1)),
    RefineStage("settle", 80, rate=0.5, facing=0.25, weights=Weights(penetration=2.0, interior=2.0)),
    RefineStage("polish", 60, rate=0.25, facing=0.1, let_go=0.1, weights=Weights(penetration=8.0, interior=8.0)),
    RefineStage(
        "clear",
        60,
        rate=0.25,
        facing=0.05,
        let_go=0.1,
        weights=Weights(contact=0.6, penetration=20.0, interior=20.0),
    ),
)
"""Objects and bodies first find each other as rigid things, hardly minding what is inside what; then limbs reach; then
penetration is driven out, with matches that prefer what is near to what faces the right way; at last contact lets go
where it held something inside."""

PICTURE_STAGES: tuple[RefineStage, ...] = (
    RefineStage("reach", 60, rate=0.5, weights=Weights(penetration=0.1, interior=0.1)),
    RefineStage("settle", 80, rate=0.5, facing=0.25, let_go=0.1, weights=Weights(penetration=2.0, interior=2.0)),
    RefineStage("clear", 60, rate=0.25, facing=0.1, let_go=0.05, weights=Weights(penetration=8.0, interior=8.0)),
)
"""For what was fitted to a picture: near already, so nothing is brought together from afar."""


@dataclasses.dataclass(frozen=True)
class Starts:
    """Other starts, for interactions that the given one does not bring to the rule."""

    tries: int = 0
    """How many of the screened starts `refine_batch` runs, one after the other, at most; 0: only the given one, which
    is all that the pure `refine` knows."""
    placed: int = 2
    """How many of the first stages, which bring body and object together, another start does without."""
    stay: float = 0.1
    """How hard another start holds what is run from it, in `Weights.stay`: it touches already, if only nearly."""
    deep: float = 0.008
    """Penetration that the rule allows, metres: a start is given up whose result has more."""
    far: float = 0.018
    """Distance between what should touch that the rule allows, metres."""

    def __post_init__(self):
        for name in ("tries", "placed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Langevin:
    """Stages as Langevin chains with Metropolis' test instead of Adam's descent: other seeds end elsewhere. What is
    handed on is still the best state that was visited."""

    seed: int = 0
    size: float = 0.3
    """A step's standard deviation, in units of the learning rates."""
    temperature: float = 0.3
    """In units of the energy: states that cost so much more are 1/e times as likely."""

    def __post_init__(self):
        for name in ("size", "temperature"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much the refiner looks at; what changes here compiles a new program, everything else does not."""

    steps_per_round: int = 10
    """Gradient steps between two updates of the correspondences; plateaus are looked for as often."""
    body_points: int = 512
    """Body vertices of the penetration terms: half spread over the body, half the nearest to the object."""
    contact_points: int = 32
    """Body vertices per contact part and per foot."""
    object_points: int = 384
    """Object surface points of the contact and interior terms: half spread over it, half the nearest to the body."""

    def __post_init__(self):
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclasses.dataclass(frozen=True)
class RefineConfig:
    """Every number of the refiner."""

    stages: tuple[RefineStage, ...] = DEFAULT_STAGES
    """In the order in which they run."""
    freeze: tuple[str, ...] = ("object_scale",)
    """Groups that keep their values bit for bit, aliases allowed: ("object",), ("betas", "hands"), ..."""
    rate: PerGroup = PerGroup(0.01, 0.006, 0.005, 0.01, 0.006, 0.015, 0.015, 0.01, 0.02, 0.01, 0.005)
    """Adam's step at rate one."""
    width: PerGroup = PerGroup(0.06, 0.05, 0.1, 0.3, 0.2, 0.3, 0.3, 0.5, 0.25, 0.15, 0.05)
    """Departure from the estimate that costs one."""
    sizes: Sizes = Sizes()
    """How much is looked at."""
    starts: Starts = Starts()
    """Whether and how other starts are tried."""
    langevin: Langevin | None = None
    """None: Adam."""
    upright: bool = False
    """What rests on the floor is set upright on it, and then slides and turns about the vertical only; with its turn
    frozen it is left as it stands, and slides."""
    tolerance: float = 0.01
    """An energy that falls by less than this fraction in a round is on a plateau: its sample's rate is cut, and its
    stage ends when the rate has reached `RefineStage.final_rate`."""
    contact_spread: float = 0.03
    """Vertices of a part this much farther from the object than its nearest one are pulled 0.6 times as hard,
    metres."""

    def __post_init__(self):
        expand_groups(self.freeze)
        if not self.stages:
            raise ValueError("a refiner needs at least one stage")

    @property
    def steps(self) -> int:
        """Largest number of gradient steps of all stages together."""
        return sum(stage.steps for stage in self.stages)

    def with_steps(self, steps: int) -> "RefineConfig":
        """The same stages, shortened or lengthened in proportion to `steps` in all.

        Raises:
          ValueError: `steps` is negative.
        """
        if steps < 0:
            raise ValueError(f"steps must not be negative, got {steps}")
        sums = itertools.accumulate((stage.steps for stage in self.stages), initial=0)
        ends = [steps * s // max(self.steps, 1) for s in sums]
        stages = tuple(
            dataclasses.replace(stage, steps=b - a) for stage, (a, b) in zip(self.stages, itertools.pairwise(ends))
        )
        return dataclasses.replace(self, stages=stages)
