"""Every number of the refiner of sequences."""

import dataclasses

from hoijax.optim.gradient import RefineConfig


@dataclasses.dataclass(frozen=True)
class Temporal:
    """Weights of what ties the frames of a window; terms are near one a frame when something is off by its width."""

    acceleration: float = 1.0
    """Joints and object accelerate as things do."""
    sliding: float = 0.5
    """A point that touches keeps its place on the object."""
    standing: float = 0.5
    """A foot that stands keeps its place on the floor."""


@dataclasses.dataclass(frozen=True)
class Natural:
    """Root mean squares of accelerations that are taken for motion and not for noise."""

    places: float = 3.0
    """Of joints, the pelvis and the object, metres a second squared."""
    turns: float = 20.0
    """Of joints relative to their parents, and of the object, radians a second squared."""


@dataclasses.dataclass(frozen=True)
class Windows:
    """How a track is cut; what changes here compiles a new program."""

    frames: int = 48
    """Frames of a window."""
    overlap: int = 12
    """Frames that a window takes over from the one before and holds."""

    def __post_init__(self):
        if not 0 < self.overlap < self.frames:
            raise ValueError(f"wanted 0 < overlap < frames of a window, got {self.overlap} and {self.frames}")

    def size(self, count: int) -> int:
        """Frames of the windows of tracks of which the longest has `count`: multiples of eight share programs."""
        return min(self.frames, max(8, -(-count // 8) * 8))

    def starts(self, count: int, size: int) -> tuple[int, ...]:
        """First frames of the windows of a track; all windows but the last overlap by `overlap`, the last by more."""
        if count <= size:
            return (0,)
        starts = list(range(0, count - size, size - self.overlap))
        return (*starts, count - size)


@dataclasses.dataclass(frozen=True)
class SequenceConfig:
    """How tracks are refined."""

    frame: RefineConfig = dataclasses.field(default_factory=lambda: RefineConfig().with_steps(160))
    """Stages, weights, frozen groups and sizes of the refiner of single frames. Shape is one for the whole track."""
    temporal: Temporal = Temporal()
    natural: Natural = Natural()
    windows: Windows = Windows()
    fps: float | None = None
    """Frames a second; None: as the track says, else 30."""
    step_time: float = 0.08
    """Steps of a window are smooth over about this many seconds."""

    def __post_init__(self):
        if self.fps is not None and not 0 < self.fps < 1e4:
            raise ValueError(f"fps must be positive, got {self.fps}")
