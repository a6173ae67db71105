"""Refinement of sequences: tracks of frames, window by window, batched over tracks."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, contact_regions
from hoijax.errors import InputError
from hoijax.geometry import RigidPose
from hoijax.optim.fields import BodyField, ObjectField, body_field, object_field
from hoijax.optim.gradient.config import GROUPS, Sizes, expand_groups
from hoijax.optim.gradient.contacts import FEET
from hoijax.optim.gradient.engine import RefineProblem, Setting
from hoijax.optim.gradient.refiner import inverse_width, stage_setting
from hoijax.optim.gradient.result import Progress, RefineMetrics
from hoijax.optim.gradient.state import State, joint_groups, keep_frozen, moves_object, spread_over_groups
from hoijax.optim.gradient.upright import freedom, set_upright
from hoijax.optim.sequence.config import SequenceConfig
from hoijax.optim.sequence.smoothing import second_differences, step_smoother
from hoijax.optim.sequence.temporal import TemporalWeights, Ties
from hoijax.optim.sequence.track import EstimatedTrack, PreparedTrack, prepare_track
from hoijax.optim.sequence.window import (
    Window,
    WindowCarry,
    begin_window,
    measure_window,
    run_window_round,
)

DEFAULT = SequenceConfig()
FADE = 0.3
"""Seconds in which the change of a window fades out in the start of the next."""
_MOVING = ("rotations", "translation", "object_rotation", "object_translation")
FINGERS = ("left_hand", "right_hand", "")
"""Groups of joints whose accelerations do not count: thirty fingers would outweigh the body."""


@struct.dataclass
class RefinedTrack:
    """A refined track of T frames."""

    params: BodyParams
    pose: RigidPose
    before: RefineMetrics
    """Of the estimates, leading axis T; parts that are not asked for in a frame have a distance of 0 there."""
    after: RefineMetrics
    """The same of the result."""
    asked: Any
    """In which frames each part is asked for, (T, R) in {0, 1}."""
    parts: tuple[str, ...] = struct.field(pytree_node=False, default=())
    """Names of the parts."""
    still: tuple[tuple[int, int], ...] = struct.field(pytree_node=False, default=())
    """Stretches in which the object stands still, if it may move: first row and the row after the last."""
    noise: Any = None
    """Of the estimates: "body" and "object" in metres, "turns" in radians."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """What an interrupted run goes on from, and what it tells as it goes."""

    known: Sequence[State] = ()
    """The first windows of the tracks, as they were finished: leading axes B and W."""
    finished: Callable[[int, State], None] | None = None
    """Called with the number of a window and its states, leading axes B and W."""


def refine_tracks(
    model: BodyModel,
    tracks: Sequence[EstimatedTrack],
    config: SequenceConfig = DEFAULT,
    *,
    body: BodyField | None = None,
    size: int | None = None,
    kept: Kept | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[RefinedTrack]:
    """Refines tracks side by side, compiled and vmapped.

    Each track is smoothed as a whole; then its windows are refined one after the other, each holding the frames that it
    shares with the one before. All windows of all tracks have one shape, so one program serves them. Shape and scale
    are one for a track: the medians of its estimates, or where they may move what frames spread over the whole track
    agree on.

    Args:
      model: the body.
      tracks: at least one.
      config: how.
      body: `body_field(model)`, to save its second when many batches are refined.
      size: frames of a window; None: by the longest track.
      kept: see `Kept`.
      progress: called on the host after each round.

    Returns:
      One result a track, in order.

    Raises:
      InputError: no tracks; see `prepare_track`; all or no tracks have a floor.
    """
    if not tracks:
        raise InputError("there are no tracks; give at least one")
    if len({track.gravity is None for track in tracks}) > 1:
        raise InputError("some tracks have a floor and others have none; refine them apart")
    body = body_field(model) if body is None else body
    own = [prepare_track(model, track, config) for track in tracks]
    each = {id(track.template): object_field(track.template) for track in tracks}
    shared = len(each) == 1
    fields = [each[id(track.template)] for track in tracks]
    object = fields[0] if shared else jax.tree.map(lambda *x: jnp.stack(x), *fields)
    size = size or config.windows.size(max(track.count for track in own))
    rows = max([len(track.names) for track in own] + [1])
    run = _Run(body, object, shared, config, own, size, rows, progress)
    return run.tracks(kept or Kept())


@dataclasses.dataclass
class _Run:
    """One call of `refine_tracks`."""

    body: BodyField
    object: ObjectField
    shared: bool
    config: SequenceConfig
    own: list[PreparedTrack]
    size: int
    rows: int
    progress: Callable[[Progress], None] | None

    @functools.cached_property
    def begun(self) -> list[State]:
        """The starts of the tracks."""
        return [self._begun(track) for track in self.own]

    @functools.cached_property
    def soles(self) -> np.ndarray:
        """Vertices of the feet."""
        return _soles(self.body.model)

    def tracks(self, kept: Kept) -> list[RefinedTrack]:
        """Window by window."""
        model, frame = self.body.model, self.config.frame
        starts = [self.config.windows.starts(track.count, self.size) for track in self.own]
        states = self._fit_shape([jax.tree.map(np.copy, state) for state in self.begun])
        count = max(map(len, starts))
        for k in range(count):
            firsts = [own[min(k, len(own) - 1)] for own in starts]
            done = [0 if k == 0 else own[k - 1] + self.size for own in starts_at(starts, k)]
            if k < len(kept.known):
                now = kept.known[k]
            else:
                windows = self._windows(states, firsts, done, _temporal(self.config))
                now = self._stages(windows, self._cut(states, firsts), k, count)
                if kept.finished is not None:
                    kept.finished(k, now)
            for b, (own, first) in enumerate(zip(starts, firsts)):
                if k < len(own):
                    one = jax.tree.map(lambda x, b=b: np.asarray(x)[b], now)
                    track = self.own[b]
                    _put(states[b], self.begun[b], one, first, done[b], track, FADE * track.fps)
        held = [keep_frozen_rows(model, frame.freeze, s, track.given) for s, track in zip(states, self.own)]
        return self._results(held)

    def _begun(self, track: PreparedTrack) -> State:
        """The start of a track, writable; an object that always stands set upright."""
        targets = jax.tree.map(lambda x: x[0], track.targets)
        start = track.start
        if self.config.frame.upright and moves_object(self.config.frame.freeze):
            start = jax.vmap(lambda s: set_upright(s, targets, track.floor))(jax.tree.map(jnp.asarray, start))
        start = keep_frozen_rows(self.body.model, self.config.frame.freeze, start, track.given)
        return jax.tree.map(np.array, start)

    def _fit_shape(self, states: list[State]) -> list[State]:
        """With the shape and scale, if they may move, on which frames from all over each track agree."""
        free = {"betas", "object_scale"} - set(expand_groups(self.config.frame.freeze))
        if not free:
            return states
        spread = [np.unique(np.linspace(0, t.count - 1, min(self.size, t.count)).round().astype(int)) for t in self.own]
        windows = self._windows(states, spread, [0] * len(states), None)
        now = self._stages(windows, self._cut(states, spread), 0, 1, shape=True)
        for b, state in enumerate(states):
            for name in free:
                getattr(state, name)[:] = np.asarray(getattr(now, name))[b, 0]
        return states

    def _rows(self, first: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of a window and which of them count; padding repeats the last."""
        rows = np.arange(first, first + self.size) if np.ndim(first) == 0 else np.asarray(first)
        counted = np.arange(self.size) < min(len(rows), int((rows < count).sum()))
        rows = np.minimum(np.pad(rows, (0, max(self.size - len(rows), 0)), mode="edge"), count - 1)
        return rows[: self.size], counted

    def _cut(self, states: list[State], firsts: Sequence[Any]) -> State:
        """Windows of all tracks, leading axes B and W."""
        cut = []
        for state, track, first in zip(states, self.own, firsts):
            rows = self._rows(first, track.count)[0]
            cut.append(jax.tree.map(lambda x, rows=rows: x[rows], state))
        return jax.tree.map(lambda *x: np.stack(x), *cut)

    def _windows(
        self, states: list[State], firsts: Sequence[Any], done: Sequence[int], weights: TemporalWeights | None
    ) -> Window:
        """Windows of all tracks; without temporal weights the frames are tied by nothing but their shape."""
        each = [self._window(*args, weights) for args in zip(self.own, self.begun, firsts, done)]
        return jax.tree.map(lambda *x: jnp.stack(x), *each)

    def _window(
        self, track: PreparedTrack, begun: State, first: Any, done: int, weights: TemporalWeights | None
    ) -> Window:
        """What stays the same of one track's window, arrays alone; `done` rows of the track are held."""
        model, frame, dtype = self.body.model, self.config.frame, np.float32
        rows, counted = self._rows(first, track.count)
        numbers = track.frames[rows] + np.cumsum(~counted)  # padding goes on counting
        moving, real = (rows >= done) & counted, slice(int(counted.sum()))
        differences = np.asarray(second_differences(numbers).todense(), dtype) if self.size > 2 else np.zeros((0, 2))
        differences = differences * (counted[2:] if len(differences) else 1)[:, None]
        strength = (self.config.step_time * track.fps) ** 4
        groups = track.groups[rows]
        alone = weights is None
        body_smoother, object_smoother = (
            np.diag(counted.astype(dtype))
            if alone
            else _padded(step_smoother(numbers[real], moving[real], g[real], strength), self.size)
            for g in (np.arange(self.size), groups)
        )
        targets = self._targets(track, rows)
        start = jax.tree.map(lambda x: np.asarray(x, dtype)[rows], begun)
        standing = track.floor if frame.upright and moves_object(frame.freeze) else None
        free = freedom(jax.tree.map(lambda x: x[0], track.targets), standing, dtype)
        acceleration = self.config.natural.places / track.fps**2
        kinds = joint_groups(model.joint_names)
        spread = functools.partial(spread_over_groups, model)
        of_object = {"object_rotation", "object_translation"}
        return Window(
            frames=RefineProblem(
                body=None, object=None, targets=targets, floor=track.floor, start=start, inverse_width=None,
                freedom=np.broadcast_to(np.asarray(free), (self.size, 2, 3, 3)),
            ),
            ties=Ties(
                differences=np.asarray(differences, dtype),
                inverse_natural=dtype(1.0 / acceleration),
                follows=((np.diff(numbers) == 1) & counted[1:]).astype(dtype),
                joints=np.asarray([kind not in FINGERS for kind in kinds], dtype),
                corners=track.corners,
            ),
            weights=TemporalWeights(dtype(0), dtype(0), dtype(0)) if alone else weights,
            counted=counted.astype(dtype),
            body_smoother=body_smoother.astype(dtype),
            object_smoother=object_smoother.astype(dtype),
            of_object=spread({g: float(g in of_object) for g in GROUPS}).astype(dtype),
            shared=spread({g: float(g in ("betas", "object_scale")) for g in GROUPS}).astype(dtype),
        )  # fmt: skip

    def _targets(self, track: PreparedTrack, rows: np.ndarray) -> Any:
        """Targets of each frame, leading axis W: what is not asked for then weighs nothing."""
        one, more = track.targets, self.rows - len(track.names)
        parts = np.zeros((len(rows), self.rows, one.parts.shape[2]), np.float32)
        parts[:, : len(track.names)] = np.asarray(one.parts)[0, : len(track.names)] * track.asked[rows][:, :, None]
        regions = one.regions
        if regions is not None:
            regions = jax.tree.map(
                lambda x: np.pad(np.asarray(x), [(0, 0), (0, more)] + [(0, 0)] * (x.ndim - 2)), regions
            )
            regions = jax.tree.map(lambda x: np.broadcast_to(x, (len(rows), *x.shape[1:])), regions)
        return one.replace(
            parts=parts,
            object=np.broadcast_to(one.object, (len(rows), *one.object.shape[1:])),
            feet=self.soles * track.feet[rows][:, :, None],
            rest_points=np.broadcast_to(one.rest_points, (len(rows), *one.rest_points.shape[1:])),
            rest_weight=np.asarray(one.rest_weight) * track.rests[rows][:, None],
            base=np.broadcast_to(one.base, (len(rows), 3)),
            regions=regions,
        )

    def _full(self, windows: Window) -> Window:
        """Windows with what they share: the body, its widths, the object or the objects."""
        width = inverse_width(self.body.model, self.config.frame, jnp.float32)
        frames = windows.frames.replace(body=self.body, object=self.object, inverse_width=width)
        return windows.replace(frames=frames)

    def _stages(self, windows: Window, states: State, k: int, count: int, shape: bool = False) -> State:
        """All stages of the windows of number k; the loop over rounds runs on the host."""
        model, frame = self.body.model, self.config.frame
        full = self._full(windows)
        states, before, total = jax.tree.map(jnp.asarray, states), 0, max(frame.steps, 1)
        held = frame if shape else dataclasses.replace(frame, freeze=(*frame.freeze, "betas", "object_scale"))
        for stage in frame.stages:
            if stage.steps == 0:
                continue
            setting = stage_setting(model, held, stage, states.translation.dtype)
            carry = _begin(full, states, self.shared, frame.sizes)
            for done in range(0, stage.steps, frame.sizes.steps_per_round):
                carry = _round(full, setting, carry, self.shared, frame.sizes)
                if self.progress is not None:
                    steps = k * total + before + min(done + frame.sizes.steps_per_round, stage.steps)
                    jax.block_until_ready(carry.step)
                    self.progress(Progress(stage.name, steps, count * total, k, count))
            before += stage.steps
            states = carry.states
        return jax.device_get(states)

    def _results(self, states: list[State]) -> list[RefinedTrack]:
        """Measures of all frames before and after, window by window."""
        firsts = list(range(0, max(track.count for track in self.own), self.size))
        given = [jax.tree.map(np.asarray, track.given) for track in self.own]
        measured: list[list[RefineMetrics]] = [[], []]
        for first in firsts:
            where = [min(first, max(track.count - 1, 0)) for track in self.own]
            windows = self._full(self._windows(states, where, [0] * len(states), None))
            for out, of in zip(measured, (given, states)):
                out.append(jax.device_get(_measure(windows, self._cut(of, where), self.shared)))
        results = []
        held = {"object_rotation", "object_translation"} & set(expand_groups(self.config.frame.freeze))
        for b, (track, state) in enumerate(zip(self.own, states)):
            before, after = (
                jax.tree.map(lambda *x, b=b, n=track.count: np.concatenate([y[b] for y in x])[:n], *parts)
                for parts in measured
            )
            results.append(
                RefinedTrack(
                    params=state.params, pose=state.pose, before=before, after=after, asked=track.asked,
                    parts=track.names, still=() if held else tuple(track.still), noise=track.noise,
                )
            )  # fmt: skip
        return results


def _temporal(config: SequenceConfig) -> TemporalWeights:
    """Weights of what ties the frames, as arrays."""
    own = config.temporal
    return TemporalWeights(*(np.float32(x) for x in (own.acceleration, own.sliding, own.standing)))


def _padded(matrix: np.ndarray, size: int) -> np.ndarray:
    """A matrix in the corner of a larger one."""
    return np.pad(matrix, [(0, size - len(matrix))] * 2)


def starts_at(starts: Sequence[tuple[int, ...]], k: int) -> list[tuple[int, ...]]:
    """The same, each with at least k windows: what has fewer repeats its last."""
    return [own + (own[-1],) * max(k + 1 - len(own), 0) for own in starts]


def keep_frozen_rows(model: BodyModel, freeze: tuple[str, ...], moved: State, start: State) -> State:
    """`keep_frozen` of each frame; shape and scale stay what all frames share."""
    rest = tuple(name for name in freeze if name not in ("betas", "object_scale"))
    both = jax.tree.map(jnp.asarray, (moved, start))
    return jax.tree.map(np.asarray, jax.vmap(lambda a, b: keep_frozen(model, rest, a, b))(*both))


def _put(state: State, begun: State, now: State, first: int, done: int, track: PreparedTrack, fade: float) -> None:
    """Takes over what a window has refined: its rows from `done` on.

    What follows starts where the window ends: the change of its last row fades out within some `fade` frames, and an
    object that still stands stays where it is.

    Args:
      state: of the track; changed in place.
      begun: its start.
      now: of the window, leading axis W.
      first: row of the track with which the window begins.
      done: rows of the track that were finished before.
      track: the track.
      fade: frames in which a change falls to a third.
    """
    end = min(first + len(np.asarray(now.translation)), track.count)
    rows = np.arange(max(first, done), end)
    for name in _MOVING:
        getattr(state, name)[rows] = np.asarray(getattr(now, name))[rows - first]
    if end == track.count:
        return
    last, rest = end - 1, np.arange(end, track.count)
    share = np.exp(-(track.frames[rest] - track.frames[last]) / fade)
    for name in ("translation", "object_translation"):
        change = getattr(state, name)[last] - getattr(begun, name)[last]
        getattr(state, name)[rest] = getattr(begun, name)[rest] + (share[:, None] * change).astype(np.float32)
    for name in ("rotations", "object_rotation"):
        before, after = (getattr(s, name)[last].reshape(-1, 3, 3).astype(np.float64) for s in (begun, state))
        change = Rotation.from_matrix(before.transpose(0, 2, 1) @ after).as_rotvec()
        turns = Rotation.from_rotvec((share[:, None, None] * change).reshape(-1, 3)).as_matrix()
        old = getattr(begun, name)[rest].astype(np.float64)
        getattr(state, name)[rest] = (old.reshape(-1, 3, 3) @ turns).reshape(old.shape).astype(np.float32)
    same = rest[track.groups[rest] == track.groups[last]]
    for name in ("object_rotation", "object_translation"):
        getattr(state, name)[same] = getattr(state, name)[last]


def _soles(model: BodyModel) -> np.ndarray:
    """Vertices of the feet, (2, V) in {0, 1}."""
    regions = contact_regions(model)
    masks = np.zeros((len(FEET), model.num_vertices), np.float32)
    for mask, name in zip(masks, FEET):
        mask[np.asarray(regions.get(name, ()), int)] = 1.0
    return masks


# The programs below take every number as an array: they compile once per number of tracks and size of a window.


@functools.partial(jax.jit, static_argnums=(2, 3))
def _begin(windows: Window, states: State, shared: bool, sizes: Sizes) -> WindowCarry:
    return jax.vmap(functools.partial(begin_window, sizes=sizes), in_axes=(_axes(windows, shared), 0))(windows, states)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _round(windows: Window, setting: Setting, carry: WindowCarry, shared: bool, sizes: Sizes) -> WindowCarry:
    one = functools.partial(run_window_round, sizes=sizes)
    return jax.vmap(one, in_axes=(_axes(windows, shared), None, 0))(windows, setting, carry)


@functools.partial(jax.jit, static_argnums=2)
def _measure(windows: Window, states: State, shared: bool) -> RefineMetrics:
    # One track after the other: each frame needs much memory.
    def one(b: jax.Array) -> RefineMetrics:
        frames = windows.frames
        own = jax.tree.map(
            lambda x: x[b], windows.replace(frames=frames.replace(body=None, object=None, inverse_width=None))
        )
        object = frames.object if shared else jax.tree.map(lambda x: x[b], frames.object)
        full = own.replace(
            frames=own.frames.replace(body=frames.body, object=object, inverse_width=frames.inverse_width)
        )
        return measure_window(full, jax.tree.map(lambda x: x[b], states))

    return jax.lax.map(one, jnp.arange(states.translation.shape[0]))


def _axes(windows: Window, shared: bool) -> Window:
    """Axes over the tracks; body, widths and an object of all have none."""
    over = jax.tree.map(lambda x: 0, windows.replace(frames=None))
    frames = RefineProblem(
        body=None, object=None if shared else 0, targets=0, floor=0, start=0, inverse_width=None, freedom=0
    )
    return over.replace(frames=frames)
