"""`refine` of sequences as a job: a file whose rows are frames of one person is one item, a track."""

import dataclasses
import functools
import importlib.metadata
import pathlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hoijax.body_models import BodyModel, BodyParams, pose_body_compiled
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.interaction import judge
from hoijax.io import ParameterFile, value_digest, write_npz
from hoijax.io.archives import read_npz
from hoijax.jobs.bodies import RefinerStart
from hoijax.jobs.directions import Direction
from hoijax.jobs.engine import Item, Job, Watch
from hoijax.jobs.estimates import FEWEST
from hoijax.jobs.objects import ObjectAsset, StoredAsset
from hoijax.jobs.plans import Plan
from hoijax.optim.fields import body_field
from hoijax.optim.gradient import Progress, RefineConfig, RefineMetrics
from hoijax.optim.gradient.state import State
from hoijax.optim.sequence import EstimatedTrack, Kept, RefinedTrack, SequenceConfig, refine_tracks

RECORD = 1
"""Version of what is recorded of a sequence."""
FILES = ("refined.npz", "interaction.glb")
GOOD = 0.9
"""Share of the frames that must be good for a sequence to be."""
WINDOWS = "windows"
"""Folder of windows that are finished while their sequence is not."""
DEFAULT_FPS = 30.0
TOGETHER = 16
"""Interactions of a batch that one track counts for: each has as many frames as a window."""


@dataclasses.dataclass(frozen=True)
class SequenceInputs:
    """One sequence to refine: the inputs of an item."""

    source: ParameterFile
    """Its parameters, all rows."""
    starts: Mapping[int, RefinerStart]
    """Row to estimate, for the rows that can be used."""
    object: ObjectAsset | StoredAsset
    """Its object."""
    contacts: tuple[str, ...] | None
    """Parts that touch where they are near; None: proposed."""
    gravity: Direction | None
    """With a floor."""
    level: float | None
    """Of the floor; None: the lowest points of the bodies."""
    config: SequenceConfig
    """The refiner's settings."""
    fps: float
    """Frames a second."""
    up: Direction
    """Against gravity; upward in pictures."""
    regions: Mapping[str, Any]
    """Part to where on the object it touches."""
    soft: Mapping[str, np.ndarray]
    """Part to weights of the body's vertices."""
    notes: tuple[str, ...]
    """What a person should know about the start."""
    options: Mapping[str, Any]
    """What its record tells otherwise than the command's options."""

    @property
    def rows(self) -> list[int]:
        """Rows that can be used, in order."""
        return sorted(self.starts)

    @property
    def frames(self) -> np.ndarray:
        """Numbers of their frames."""
        numbers = self.source.frames
        return np.asarray(self.rows if numbers is None else numbers[self.rows])

    def track(self) -> EstimatedTrack:
        """For the refiner."""
        starts = [self.starts[row] for row in self.rows]
        stack = lambda *x: np.stack([np.asarray(y) for y in x])  # noqa: E731
        return EstimatedTrack(
            params=jax.tree.map(stack, *(start.params for start in starts)),
            pose=jax.tree.map(stack, *(start.pose for start in starts)),
            frames=self.frames, template=self.object.template, fps=self.fps, contacts=self.contacts,
            gravity=self.gravity, level=self.level, regions=self.regions, soft=self.soft,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class RefinedSequence:
    """The result of one item."""

    track: RefinedTrack
    """Of the refiner."""
    joints: tuple[np.ndarray, np.ndarray]
    """`(T, J, 3)` before and after, metres."""
    corners: tuple[np.ndarray, np.ndarray]
    """`(T, 8, 3)` of the object's box before and after, metres."""
    good: np.ndarray
    """`(T,)` which frames are good."""
    words: tuple[str, ...]
    """The verdict."""
    moved: np.ndarray
    """`(T,)` mean shift of the joints or of the corners, the larger, metres."""
    seconds: float
    """Its share of the batch's time, compilation included."""


def is_sequence(plan: Plan, asked: bool | None) -> bool:
    """Whether a plan's rows are refined as frames of one track.

    Args:
      plan: of a file.
      asked: what the command says; None: as the file says.
    """
    said = plan.source.frames is not None if asked is None else asked
    return said and len(plan.starts) >= FEWEST


def sequence_config(config: RefineConfig, *, whole: bool, fps: float | None = None) -> SequenceConfig:
    """The settings of a sequence by those of a single frame.

    Args:
      config: of a frame.
      whole: it has the refiner's own number of steps; a sequence takes half as many, since it starts without noise.
      fps: frames a second, if the command says so.
    """
    if whole:
        config = config.with_steps(config.steps // 2)
    freeze = tuple(dict.fromkeys((*config.freeze, "betas")))
    return SequenceConfig(frame=dataclasses.replace(config, freeze=freeze), fps=fps)


def sequence_items(
    plans: Sequence[Plan], asset: ObjectAsset | StoredAsset, inputs: Mapping[str, Any], config: SequenceConfig
) -> tuple[Item, ...]:
    """One item a plan.

    Args:
      plans: whose rows are frames.
      asset: the object of all.
      inputs: digests of the files that the results depend on.
      config: the refiner's settings.
    """
    return tuple(_item(plan, asset, inputs, config) for plan in plans)


def _item(
    plan: Plan, asset: ObjectAsset | StoredAsset, inputs: Mapping[str, Any], config: SequenceConfig
) -> Item:  # fmt: skip
    frozen = dict.fromkeys(name for start in plan.starts.values() for name in start.freeze)
    frame = dataclasses.replace(config.frame, freeze=tuple(dict.fromkeys((*config.frame.freeze, *frozen))))
    config = dataclasses.replace(config, frame=frame)
    fps = config.fps or plan.source.fps or DEFAULT_FPS
    notes = dict.fromkeys(note for start in plan.starts.values() for note in start.notes)
    own = SequenceInputs(
        source=plan.source, starts=plan.starts, object=asset, contacts=plan.contacts,
        gravity=None if plan.floor is None else plan.floor.gravity,
        level=None if plan.floor is None else plan.floor.level, config=config, fps=fps, up=plan.up,
        regions=plan.regions, soft=plan.soft,
        notes=(*notes, *(() if plan.floor is None else plan.floor.notes), *_frame_notes(plan, config, fps)),
        options=plan.options,
    )  # fmt: skip
    key = value_digest(
        {
            "version": importlib.metadata.version("hoijax"),
            "record": RECORD,
            "values": plan.source.values,
            "rows": own.rows,
            "frames": own.frames,
            "fps": fps,
            "inputs": dict(inputs),
            "contacts": plan.contacts,
            "floor": [own.gravity, own.level],
            "config": dataclasses.asdict(config),
            "up": plan.up,
            "regions": {part: region.points for part, region in plan.regions.items()},
            "soft": dict(plan.soft),
        }
    )
    return Item(plan.name or plan.source.path.stem, plan.folder, key, FILES, own)


def _frame_notes(plan: Plan, config: SequenceConfig, fps: float) -> tuple[str, ...]:
    """What a person should know about the frames."""
    notes = []
    if config.fps is None and plan.source.fps is None:
        notes.append(f"the file does not say how many frames a second there are: {fps:g} are taken (--fps)")
    if plan.source.broken:
        lost = ", ".join(str(row) for row in sorted(plan.source.broken)[:8])
        notes.append(f"{len(plan.source.broken)} rows hold no usable numbers and stay as they are: {lost}")
    rows = sorted(plan.starts)
    numbers = np.asarray(rows if plan.source.frames is None else plan.source.frames[rows])
    missing = int(numbers[-1] - numbers[0] + 1 - len(numbers))
    if missing:
        notes.append(
            f"{missing} frames of {numbers[0]} to {numbers[-1]} are missing; motion runs on through short gaps"
        )
    return tuple(notes)


def sequence_job(
    model: BodyModel,
    items: tuple[Item, ...],
    options: Mapping[str, Any],
    batch_size: int,
    write: Callable[[BodyModel, Item, RefinedSequence, Mapping[str, Any]], dict[str, Any]],
) -> Job:
    """Sequences as a job.

    Args:
      model: the body.
      items: of `sequence_items`.
      options: kept with every result.
      batch_size: most interactions at a time; a track counts for `TOGETHER`.
      write: writes an item's files and answers its record.
    """
    field = functools.cache(lambda: body_field(model))

    def compute(batch: Sequence[Item], watch: Watch) -> list[RefinedSequence | InputError]:
        return refine_sequences(model, field(), batch, watch)

    def write_one(item: Item, refined: RefinedSequence) -> dict[str, Any]:
        record = write(model, item, refined, {**options, **item.inputs.options})
        shutil.rmtree(item.folder / WINDOWS, ignore_errors=True)
        return record

    def program(item: Item) -> Any:
        own: SequenceInputs = item.inputs
        return own.config, own.gravity is None, bool(own.regions), own.contacts

    return Job(items, compute, write_one, program, max(1, batch_size // TOGETHER), "sequences")


def refine_sequences(
    model: BodyModel, field: Any, batch: Sequence[Item], watch: Watch
) -> list[RefinedSequence | InputError]:
    """Refines tracks side by side; windows that an interrupted run has finished are taken up.

    A track that cannot be used takes no other along: where one is found they are refined one by one.

    Args:
      model: the body.
      field: `body_field(model)`.
      batch: what to refine, of one program.
      watch: called with the share of the work that is done and the stage.
    """
    began = time.perf_counter()

    def show(progress: Progress) -> None:
        window = f"{progress.stage}, window {progress.finished + 1} of {progress.batch}"
        watch(progress.steps / max(1, progress.total), window if progress.batch > 1 else progress.stage)

    def keep(k: int, states: State) -> None:
        for b, item in enumerate(batch):
            arrays = {name: np.asarray(value)[b] for name, value in vars(states).items()}
            (item.folder / WINDOWS).mkdir(parents=True, exist_ok=True)
            write_npz(_window_file(item, k), arrays)

    try:
        tracks = [item.inputs.track() for item in batch]
        results = refine_tracks(
            model, tracks, batch[0].inputs.config, body=field, kept=Kept(_known_windows(batch), keep), progress=show
        )
    except InputError as error:
        if len(batch) == 1:
            return [error]
        return [result for item in batch for result in refine_sequences(model, field, [item], watch)]
    seconds = (time.perf_counter() - began) / len(batch)
    return [_finished(model, track, result, seconds) for track, result in zip(tracks, results)]


def _window_file(item: Item, k: int) -> pathlib.Path:
    return item.folder / WINDOWS / f"{item.key[:16]}_{k:04d}.npz"


def _known_windows(batch: Sequence[Item]) -> list[State]:
    """The first windows that are there for all of the batch."""
    known = []
    while all(_window_file(item, len(known)).is_file() for item in batch):
        try:
            each = [State(**read_npz(_window_file(item, len(known)))) for item in batch]
            known.append(jax.tree.map(lambda *x: np.stack(x), *each))
        except (InputError, TypeError, ValueError):  # a damaged file, or windows of another batch's size
            break
    return known


def _finished(model: BodyModel, track: EstimatedTrack, result: RefinedTrack, seconds: float) -> RefinedSequence:
    joints = tuple(_joints(model, params) for params in (track.params, result.params))
    corners = tuple(_corners(track, pose) for pose in (track.pose, result.pose))
    shifts = [np.linalg.norm(after - before, axis=2).mean(axis=1) for before, after in (joints, corners)]
    moved = np.maximum(*shifts)
    asked = np.asarray(result.asked) > 0
    contact = np.where(asked, np.asarray(result.after.contact)[:, : asked.shape[1]], 0)
    verdict = judge(np.asarray(result.after.max_penetration), contact, moved, np.zeros(len(moved), np.float32))
    missed, deep, far = (np.asarray(x) for x in (verdict.missed, verdict.penetrates, verdict.moved_far))
    missed = missed & asked
    good = ~(missed.any(axis=1) | deep | far)
    words = [f"reached in {int(good.sum())} of {len(good)} frames"]
    words += [f"missed: {name} in {int(n)}" for name, n in zip(result.parts, missed.sum(axis=0)) if n]
    words += [f"penetrates: in {int(deep.sum())}"] * bool(deep.any())
    words += [f"moved far: in {int(far.sum())}"] * bool(far.any())
    return RefinedSequence(result, joints, corners, good, tuple(words), moved, seconds)


def _joints(model: BodyModel, params: BodyParams) -> np.ndarray:
    """`(T, J, 3)` metres; chunks of one shape."""
    count, parts = len(np.asarray(params.translation)), []
    for first in range(0, count, TOGETHER):
        rows = np.minimum(np.arange(first, first + TOGETHER), count - 1)
        some = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], params)
        parts.append(np.asarray(pose_body_compiled(model, some).joints)[: count - first])
    return np.concatenate(parts)


def _corners(track: EstimatedTrack, pose: RigidPose) -> np.ndarray:
    """`(T, 8, 3)` of the object's box, metres."""
    vertices = np.asarray(track.template.mesh.vertices, np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    points = np.stack(np.meshgrid(*zip(low, high), indexing="ij"), axis=-1).reshape(8, 3)
    turned = np.einsum("tij,nj->tni", np.asarray(pose.rotation, np.float64), points)
    return np.asarray(pose.scale)[:, None, None] * turned + np.asarray(pose.translation)[:, None]


def jitter(points: np.ndarray, frames: np.ndarray) -> float:
    """Mean length of the second differences of points `(T, N, 3)`, metres, where three frames follow each other."""
    steps = np.diff(frames)
    follow = (steps[1:] == 1) & (steps[:-1] == 1)
    second = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=2)[follow]
    return float(second.mean()) if len(second) else 0.0


def mean_metrics(metrics: RefineMetrics, asked: np.ndarray, parts: tuple[str, ...], floor: bool) -> dict[str, Any]:
    """Of a track: distances over the frames in which a part is asked, the deepest penetration and its mean."""
    contact = np.asarray(metrics.contact)
    each = {
        name: float(contact[asked[:, r] > 0, r].mean()) for r, name in enumerate(parts) if (asked[:, r] > 0).any()
    }  # fmt: skip
    return {
        "contact": each,
        "max_penetration": float(np.asarray(metrics.max_penetration).max()),
        "mean_penetration": float(np.asarray(metrics.max_penetration).mean()),
        "floor_distance": float(np.asarray(metrics.floor).mean()) if floor else None,
    }
