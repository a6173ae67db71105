"""Sequences with a known truth: the refiner of sequences beside the refiner of single frames.

    python -m hoijax.experiments.sequences

The demo's interactions (`demo_cases`), refined once, are set in motion: seated people wave and look about, a box is
carried along a curve, a trolley is pushed, a bottle is swung in the hand. What touches in the truth goes on touching.
Estimates are the truth with noise on every frame, white, or white and slow. Both refiners get the same estimates,
parts, floor and number of steps. A frame's distance to the truth is the mean over the body's vertices or the corners of
the object's box; jitter the mean length of second differences, per frame, of the body's joints and of those corners.

Writes `sequences.json` and `sequences.md` to `--out`. Two idle CPU cores: ten minutes or less; finished runs are kept
in `runs/sequences`. Expected: jitter at least 5 times lower than frame by frame at no larger distance to the truth, an
object that stands still in truth moves less than 5 mm.
"""

import dataclasses
import json
import pathlib
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from hoijax.body_models import BodyModel, BodyParams, free_body, pose_body_compiled
from hoijax.experiments.common.environment import software
from hoijax.experiments.common.pages import RESULTS, heading, page, table, write_page
from hoijax.experiments.demo_cases import as_arrays, build_object, find, intended_parameters
from hoijax.geometry import RigidPose
from hoijax.interaction import ObjectTemplate, make_template
from hoijax.io import value_digest, write_json
from hoijax.optim.fields import body_field
from hoijax.optim.gradient import Floor, RefineConfig, Sizes, Starts, refine_batch
from hoijax.optim.sequence import EstimatedTrack, SequenceConfig, refine_tracks

Swing = tuple[str, tuple[float, float, float], float]
"""A joint, an axis with its largest angle in degrees as length, and how often a second it swings."""


@dataclasses.dataclass(frozen=True)
class MovedCase:
    """How a demo's interaction moves."""

    case: str
    carried: str
    """What the object moves with: "" for nothing, a joint's name."""
    swings: tuple[Swing, ...]
    path: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Metres a second that the body walks in x and z, degrees a second by which it turns."""


_LEGS = (
    ("left_hip", (18.0, 0.0, 0.0), 0.8), ("right_hip", (-18.0, 0.0, 0.0), 0.8), ("left_knee", (14.0, 0.0, 0.0), 0.8),
    ("right_knee", (-14.0, 0.0, 0.0), 0.8), ("neck", (0.0, 12.0, 0.0), 0.3),
)  # fmt: skip
_ARM = (
    ("left_shoulder", (0.0, 15.0, 30.0), 0.5), ("left_elbow", (0.0, -35.0, 0.0), 0.7), ("neck", (5.0, 25.0, 0.0), 0.3),
    ("head", (10.0, 0.0, 0.0), 0.5),
)  # fmt: skip
_REACH = ("right_shoulder", (10.0, 25.0, 20.0), 0.4), ("right_elbow", (0.0, 30.0, 0.0), 0.6)
MOTIONS: tuple[MovedCase, ...] = (
    MovedCase("sit_chair", "", (*_ARM, ("right_elbow", (0.0, 30.0, 0.0), 0.4))),
    MovedCase("sit_ball", "", _ARM),
    MovedCase("lean_table", "", _ARM),
    MovedCase("pull_suitcase", "", _ARM),
    MovedCase("carry_box", "pelvis", _LEGS, (0.25, 0.6, 20.0)),
    MovedCase("push_trolley", "pelvis", _LEGS, (0.0, 0.7, 0.0)),
    MovedCase("hold_bottle", "right_wrist", (*_REACH, *_ARM)),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Noise:
    """Standard deviations of what is added to every frame; of a vector in each direction."""

    place: float = 0.02
    """Of body and object, metres."""
    turn: float = 3.0
    """Of the whole body and of the object, degrees."""
    joint: float = 3.0
    """Of every joint, degrees."""
    slow: float = 0.0
    """Share of a second noise of the same sizes that changes over `period`."""
    period: float = 0.5
    """Seconds."""


WAYS = ("estimate", "frames", "sequence")
NOISES = {"white": Noise(), "white and slow": Noise(slow=0.5)}


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run."""

    motions: tuple[str, ...] = tuple(motion.case for motion in MOTIONS)
    noises: tuple[str, ...] = tuple(NOISES)
    seeds: tuple[int, ...] = (0,)
    frames: int = 48
    fps: float = 30.0
    steps: int = 120
    lod: str = "test"
    resolution: int = 48
    """Samples of the objects' distance grids along their longest side."""
    out: pathlib.Path = RESULTS
    work: pathlib.Path = pathlib.Path("runs/sequences")
    """Where finished runs are kept."""
    redo: bool = False
    """Run finished ones again."""


@dataclasses.dataclass(frozen=True)
class TrueSequence:
    """A true sequence of T frames."""

    params: BodyParams
    pose: RigidPose
    template: ObjectTemplate
    contacts: tuple[str, ...]
    still: bool
    """Whether the object stands still."""


def make_sequence(
    model: BodyModel, motion: MovedCase, frames: int, fps: float, *, resolution: int = 64, steps: int = 160
) -> TrueSequence:
    """The truth: the demo's interaction, refined, and then moved.

    Args:
      model: the body.
      motion: how it moves.
      frames: how many.
      fps: frames a second.
      resolution: of the object's distance grid.
      steps: of the refiner that makes the first frame touch.
    """
    case = find(motion.case)
    template = make_template(build_object(case).mesh, resolution=resolution)
    one = jax.tree.map(lambda x: jnp.asarray(x)[None], as_arrays(model, intended_parameters(case)))
    config = RefineConfig(starts=Starts(tries=0)).with_steps(steps)
    solved = refine_batch(model, one[0], template, one[1], case.contact, config, floor=Floor.at(0.0))
    params, pose = jax.tree.map(lambda x: np.asarray(x, np.float64)[0], (solved.params, solved.pose))
    time = np.arange(frames) / fps
    rotations = np.repeat(params.rotations[None], frames, axis=0)
    for name, axis, rate in motion.swings:
        joint, wave = model.joint_names.index(name), np.sin(2 * np.pi * rate * time)
        rotations[:, joint] = rotations[:, joint] @ Rotation.from_rotvec(np.radians(axis) * wave[:, None]).as_matrix()
    # Nobody starts to walk at once.
    eased = np.where(time < 0.5, time**2, time - 0.25)
    x, z, turn = motion.path
    yaw = Rotation.from_rotvec([0.0, 1.0, 0.0] * np.radians(turn * eased)[:, None]).as_matrix()
    rest = np.asarray(model.joint_template, np.float64)[0] + np.asarray(model.joint_shape_dirs)[0] @ params.betas
    pelvis = np.einsum("tij,j->ti", yaw, rest + params.translation) + np.stack(
        [x * eased, 0 * eased, z * eased], axis=1
    )
    rotations[:, 0] = yaw @ rotations[:, 0]
    bodies = BodyParams(
        rotations=rotations.astype(np.float32),
        betas=np.repeat(params.betas[None], frames, axis=0).astype(np.float32),
        translation=(pelvis - rest).astype(np.float32),
    )
    object = RigidPose(
        rotation=np.repeat(pose.rotation[None], frames, axis=0),
        translation=np.repeat(pose.translation[None], frames, axis=0),
        scale=np.ones(frames),
    )
    if motion.carried:
        object = _carried(model, bodies, params, pose, model.joint_names.index(motion.carried))
    return TrueSequence(
        bodies, jax.tree.map(lambda x: np.asarray(x, np.float32), object), template, case.contact, not motion.carried
    )


def _carried(model: BodyModel, bodies: BodyParams, first: BodyParams, pose: RigidPose, joint: int) -> RigidPose:
    """The object's poses, fixed to a joint as they are to it in the first frame."""
    turns, places = _joint(model, bodies, joint)
    own = jax.tree.map(lambda x: np.asarray(x, np.float32)[None], first)
    turn, place = (x[0] for x in _joint(model, own, joint))
    relative, offset = turn.T @ pose.rotation, turn.T @ (pose.translation - place)
    return RigidPose(turns @ relative, places + turns @ offset, np.ones(len(places)))


def _joint(model: BodyModel, bodies: BodyParams, joint: int) -> tuple[np.ndarray, np.ndarray]:
    """A joint's rotation to the world and its place, of each frame."""
    places = np.asarray(pose_body_compiled(model, bodies).joints, np.float64)[:, joint]
    turns, parent = np.eye(3)[None], joint
    while parent >= 0:
        turns, parent = np.asarray(bodies.rotations, np.float64)[:, parent] @ turns, model.parents[parent]
    return turns, places


def noisy(sequence: TrueSequence, noise: Noise, fps: float, seed: int) -> tuple[BodyParams, RigidPose]:
    """Estimates: the truth with noise on every frame.

    Args:
      sequence: the truth.
      noise: how much.
      fps: frames a second.
      seed: of the noise.
    """
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        white, slow = rng.normal(size=shape), rng.normal(size=shape)
        if not noise.slow:
            return white
        slow = gaussian_filter1d(slow, noise.period * fps / 2, axis=0, mode="wrap")
        slow = slow - slow.mean(axis=0)  # what is off all the time no refiner can know
        return white + noise.slow * slow / slow.std(axis=0)

    def turned(rotations: Any, degrees: float) -> np.ndarray:
        shape = np.shape(rotations)[:-2]
        turns = Rotation.from_rotvec(np.radians(degrees) * draw(*shape, 3).reshape(-1, 3)).as_matrix()
        return (np.asarray(rotations, np.float64) @ turns.reshape(*shape, 3, 3)).astype(np.float32)

    params, pose = sequence.params, sequence.pose
    count = len(params.translation)
    rotations = turned(params.rotations, noise.joint)
    rotations[:, 0] = turned(params.rotations[:, 0], noise.turn)
    return (
        params.replace(
            rotations=rotations, translation=params.translation + np.float32(noise.place) * draw(count, 3).astype("f4")
        ),
        pose.replace(
            rotation=turned(pose.rotation, noise.turn),
            translation=pose.translation + np.float32(noise.place) * draw(count, 3).astype("f4"),
        ),
    )


def measure(model: BodyModel, truth: TrueSequence, params: BodyParams, pose: RigidPose) -> dict[str, float]:
    """Jitter, distance to the truth and how far the object strays, millimetres."""
    corners = _corners(truth.template)
    posed = [pose_body_compiled(model, jax.tree.map(np.asarray, p)) for p in (truth.params, params)]
    things = [_placed(corners, p) for p in (truth.pose, pose)]
    joints = np.asarray(posed[1].joints)[:, :22]
    gap = np.linalg.norm(np.asarray(posed[1].vertices) - np.asarray(posed[0].vertices), axis=-1)
    return {
        "body_jitter": 1000 * _jitter(joints),
        "object_jitter": 1000 * _jitter(things[1]),
        "body_off": 1000 * float(gap.mean()),
        "object_off": 1000 * float(np.linalg.norm(things[1] - things[0], axis=-1).mean()),
        "object_strays": 1000 * float(np.linalg.norm(things[1][:, None] - things[1][None], axis=-1).max()),
    }


def _jitter(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1).mean())


def _corners(template: ObjectTemplate) -> np.ndarray:
    vertices = np.asarray(template.mesh.vertices, np.float64)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return np.stack(np.meshgrid(*zip(low, high), indexing="ij"), axis=-1).reshape(8, 3)


def _placed(points: np.ndarray, pose: RigidPose) -> np.ndarray:
    rotated = np.einsum("tij,nj->tni", np.asarray(pose.rotation, np.float64), points)
    return np.asarray(pose.scale, np.float64)[:, None, None] * rotated + np.asarray(pose.translation)[:, None]


def run_one(config: Config, motion: MovedCase, noise: Noise, seed: int) -> dict[str, Any]:
    """One sequence with one noise: estimates, frame by frame, and as a sequence."""
    model, case = free_body(config.lod), find(motion.case)
    truth = make_sequence(model, motion, config.frames, config.fps, resolution=config.resolution)
    params, pose = noisy(truth, noise, config.fps, seed)
    body, down = body_field(model), (0.0, -1.0, 0.0)
    frame = RefineConfig(starts=Starts(tries=0), upright=True, sizes=Sizes(steps_per_round=10)).with_steps(config.steps)
    began = time.process_time()
    single = refine_batch(
        model, params, truth.template, pose, truth.contacts, frame, floor=Floor.at(0.0), body=body
    )  # fmt: skip
    between = time.process_time()
    held = dataclasses.replace(frame, freeze=(*frame.freeze, "betas"))
    track = EstimatedTrack(
        params, pose, np.arange(config.frames), truth.template, config.fps, truth.contacts, down, 0.0
    )  # fmt: skip
    joint = refine_tracks(model, [track], SequenceConfig(frame=held), body=body)[0]
    ended = time.process_time()
    asked = joint.asked > 0
    told = {
        "case": case.title, "still": truth.still,
        "truth": measure(model, truth, truth.params, truth.pose),
        "estimate": measure(model, truth, params, pose),
        "frames": measure(model, truth, single.params, single.pose)
        | _touch(single.after, np.ones_like(asked)) | {"seconds": between - began},
        "sequence": measure(model, truth, joint.params, joint.pose)
        | _touch(joint.after, asked) | {"seconds": ended - between, "asked": float(asked.mean())},
    }  # fmt: skip
    return told


def _touch(metrics: Any, asked: np.ndarray) -> dict[str, float]:
    """Mean distance of asked parts and mean of the frames' deepest penetration, millimetres."""
    contact = np.asarray(metrics.contact)[:, : asked.shape[1]]
    return {
        "contact": 1000 * float(contact[asked].mean()),
        "penetration": 1000 * float(np.asarray(metrics.max_penetration).mean()),
    }


def run(config: Config) -> dict[str, Any]:
    """Everything that is not finished; the table."""
    config.work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for label in config.noises:
        for motion in (m for m in MOTIONS if m.case in config.motions):
            for seed in config.seeds:
                numbers = [config.frames, config.fps, config.steps, config.lod, config.resolution]
                key = value_digest([dataclasses.asdict(motion), dataclasses.asdict(NOISES[label]), seed, *numbers])[:16]
                path = config.work / f"{motion.case}-{key}.json"
                if config.redo or not path.is_file():
                    write_json(path, run_one(config, motion, NOISES[label], seed))
                    print(motion.case, label, seed, json.loads(path.read_text())["sequence"], flush=True)
                rows.setdefault(label, {}).setdefault(motion.case, []).append(json.loads(path.read_text()))
    return {"config": dataclasses.asdict(config) | {"out": str(config.out), "work": str(config.work)}, "rows": rows,
            "software": software()}  # fmt: skip


def tables(result: dict[str, Any]) -> list[str]:
    """The page's tables, one for each noise."""
    names = ("body_jitter", "object_jitter", "body_off", "object_off", "object_strays")
    head = ["sequence", "jitter, joints", "jitter, object", "body off", "object off", "still object strays"]
    out = []
    for label, cases in result["rows"].items():
        lines = []
        for runs in cases.values():
            mean = {
                (way, name): float(np.mean([run[way][name] for run in runs]))
                for way in (*WAYS, "truth")
                for name in names
            }
            cells = [" / ".join(f"{mean[way, n]:.1f}" for way in (*WAYS, "truth")) for n in names[:2]]
            cells += [" / ".join(f"{mean[way, n]:.0f}" for way in WAYS) for n in names[2:4]]
            strays = f"{mean['sequence', 'object_strays']:.2f}" if runs[0]["still"] else "moves"
            lines.append([runs[0]["case"], *cells, strays])
        out.append(f"{heading(f'Noise: {label}')}\n\n{table(head, lines)}")
    return out


def main(config: Config) -> None:
    """Runs, and writes the page."""
    result = run(config)
    intro = (
        "Millimetres; estimates / frame by frame / as a sequence (/ truth). Means over the seeds. Jitter: mean length "
        f"of second differences at {config.fps:g} frames a second."
    )
    write_page(config.out, "sequences", result, page("Sequences", intro, *tables(result)))


if __name__ == "__main__":
    main(tyro.cli(Config))
