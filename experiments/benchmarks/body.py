"""Speed of `pose_body` against smplx on PyTorch: forward, and forward with gradient, from the same axis-angle inputs.

    python -m hoijax.experiments.benchmarks.body --out=docs/results

Both sides run in one process, turn by turn, on a made-up SMPL-H file of true size and on the free body; before anything
is timed their vertices are compared. The free body has no pose correctives: hoijax does no work for them, smplx has no
such path and multiplies zeros. `hoijax_joints` and `hoijax_subset` are the paths for joints and for 1000 vertices.
Batch 1 keeps one core busy on either side, so its rounds are never clean; read `ratio_all` beside `probe_cores` there.

Writes `body.json` and the table `body.md` into that folder. Expected on two CPU cores, clean rounds: at least 1.5x
smplx at batch 64 and 256, parity at batch 1. About six minutes; `--rounds=1 --min-seconds=0 --batches 2` is the smoke
test.
"""

import dataclasses
import pathlib
import statistics
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from hoijax.body_models import BodyModel, BodyParams, free_body, load, pose_body, pose_joints, subset
from hoijax.experiments.benchmarks.made_up import made_up_tables
from hoijax.experiments.benchmarks.timing import compare, compile_timed, environment, write_results
from hoijax.experiments.common.pages import page, table
from hoijax.io import write_text

_SIZES = {
    "global_orient": 3, "body_pose": 63, "left_hand_pose": 45, "right_hand_pose": 45, "betas": 10, "transl": 3,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Config:
    """Every number of the run; written whole next to the results."""

    out: pathlib.Path = pathlib.Path("runs/benchmarks")
    """Folder of the results."""
    bodies: tuple[str, ...] = ("smplh", "free")
    """Which bodies."""
    batches: tuple[int, ...] = (1, 64, 256, 1024)
    """Bodies per call."""
    rounds: int = 9
    """Interleaved rounds per row."""
    min_seconds: float = 0.3
    """Length of one sample."""
    seed: int = 0
    """Of the body and of its parameters."""


def main(config: Config) -> dict[str, Any]:
    """Measures every row, prints it, and writes all of them after each."""
    result = {
        "config": dataclasses.asdict(config) | {"out": str(config.out)},
        "environment": environment("torch", "smplx"),
        "rows": [],
    }
    for body in config.bodies:
        tables = free_tables() if body == "free" else made_up_tables(body, seed=config.seed)
        model = free_body() if body == "free" else _model(tables)
        model = jax.tree.map(jnp.asarray, model)
        for batch in config.batches:
            inputs = _inputs(batch, config.seed)
            rival = Rival(tables, inputs)
            for mode in ("forward", "gradient"):
                row = _row(model, rival, inputs, mode, config)
                result["rows"].append({"body": body, "batch": batch, "mode": mode} | row)
                _show(result["rows"][-1])
                write_results(config.out / "body.json", result)
    write_text(config.out / "body.md", markdown(result))
    return result


def markdown(result: dict[str, Any]) -> str:
    """The rows as a page: medians in milliseconds, the ratio of clean rounds where there are any."""
    versions = result["environment"]["versions"]

    def cells(row: dict[str, Any]) -> list[str]:
        ratio, mark = (row["ratio_clean"], "") if row["ratio_clean"] else (row["ratio_all"], "*")
        names = ("smplx", "hoijax", "hoijax_joints", "hoijax_subset")
        smplx, ours, *less = (f"{row[name]['median_ms']:.2f}" for name in names)
        faster = f"**{ratio['median']:.1f}**{mark} ({ratio['min']:.1f}, {ratio['max']:.1f})"
        compiled = f"{row['hoijax']['compile_s']:.1f}"
        return [row["body"], str(row["batch"]), row["mode"], smplx, ours, faster, *less, compiled]

    return page(
        "Speed of `pose_body`",
        "`python -m hoijax.experiments.benchmarks.body --out=docs/results`, turn by turn in one process, on\n"
        f"{result['environment']['cores']} cores of {result['environment']['cpu']}; "
        + ", ".join(f"{name} {versions[name]}" for name in ("jax", "torch", "smplx"))
        + ".\nMilliseconds per call (median), compilation apart; gradient is value and gradient towards every input. "
        "The\nratio is that of clean rounds (both sides had the cores to themselves), of all rounds where marked with "
        "*.",
        table(
            ["body", "batch", "", "smplx", "hoijax", "ratio: median (min, max)", "joints only", "1,000 vertices",
             "compiled, s"],
            map(cells, result["rows"]),
        ),
    )  # fmt: skip


def _row(model: BodyModel, rival: "Rival", inputs: dict[str, np.ndarray], mode: str, config: Config) -> dict[str, Any]:
    given = {key: jnp.asarray(value) for key, value in inputs.items()}
    few = subset(model, np.random.default_rng(config.seed).choice(model.num_vertices, 1000, replace=False))
    sides: dict[str, Callable[[], object]] = {"smplx": rival.forward if mode == "forward" else rival.gradient}
    compiled = {}
    for name, path in (("hoijax", _vertices), ("hoijax_joints", _joints), ("hoijax_subset", _vertices)):
        tables = few if name == "hoijax_subset" else model
        compiled[name] = compile_timed(path if mode == "forward" else _gradient(path), tables, given)
        sides[name] = lambda call=compiled[name].call, tables=tables: jax.block_until_ready(call(tables, given))
    error = float(np.abs(np.asarray(jax.jit(_vertices)(model, given)) - rival.forward().cpu().numpy()).max())
    if error > 1e-4:
        raise AssertionError(f"the two sides disagree by {error:.2e} m: they do not measure the same thing")
    times = compare(sides, rounds=config.rounds, min_seconds=config.min_seconds)
    row = times.summary("smplx", "hoijax") | {"max_difference_m": error}
    for name, made in compiled.items():
        walls = [s.wall for s in times.samples[name]]
        row[name] = row.get(name, {"min_ms": min(walls) * 1e3, "median_ms": statistics.median(walls) * 1e3})
        row[name] |= {"compile_s": made.compile_seconds, "trace_s": made.trace_seconds, "temp_bytes": made.temp_bytes}
    return row


def _vertices(model: BodyModel, inputs: dict[str, jax.Array]) -> jax.Array:
    return pose_body(model, BodyParams.from_axis_angle(model, **inputs)).vertices


def _joints(model: BodyModel, inputs: dict[str, jax.Array]) -> jax.Array:
    return pose_joints(model, BodyParams.from_axis_angle(model, **inputs)).joints


def _gradient(path: Callable[..., jax.Array]) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Value and gradient, towards every input, of the sum of squares."""

    def both(model: BodyModel, inputs: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        return jax.value_and_grad(lambda x: jnp.sum(jnp.square(path(model, x))))(inputs)

    return both


class Rival:
    """smplx's SMPL-H layer on PyTorch, with as many threads as there are cores, on the same tables and inputs."""

    def __init__(self, tables: dict[str, np.ndarray], inputs: dict[str, np.ndarray]):
        import smplx
        import torch
        from smplx.utils import Struct

        self.torch = torch
        self.device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
        layer = smplx.SMPLH(
            "", data_struct=Struct(**tables), use_pca=False, flat_hand_mean=True, batch_size=1, num_betas=10
        )
        self.layer = layer.to(self.device).requires_grad_(False)
        self.inputs = {key: torch.tensor(value, device=self.device) for key, value in inputs.items()}

    def forward(self) -> Any:
        """Vertices, as a tensor."""
        with self.torch.no_grad():
            vertices = self.layer(**self.inputs).vertices
        self._wait()
        return vertices

    def gradient(self) -> None:
        """Value and gradient, towards every input, of the sum of squares of the vertices."""
        inputs = {key: value.clone().requires_grad_(True) for key, value in self.inputs.items()}
        self.layer(**inputs).vertices.square().sum().backward()
        self._wait()

    def _wait(self) -> None:
        if self.device == "cuda":
            self.torch.cuda.synchronize()


def _model(tables: dict[str, np.ndarray]) -> BodyModel:
    """The made-up file as `load` reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.npz"
        np.savez(path, **tables)
        return load(path, flat_hand_mean=True)


def free_tables() -> dict[str, np.ndarray]:
    """The free body in the keys of an SMPL-H file, for smplx: a regressor that is exact on all its shapes."""
    model = free_body()
    shapes = np.asarray(model.shape_dirs, np.float64)
    space = np.concatenate([np.asarray(model.v_template, np.float64)[..., None], shapes], axis=-1)
    joints = np.concatenate(
        [np.asarray(model.joint_template, np.float64)[..., None], np.asarray(model.joint_shape_dirs)], axis=-1
    )
    ones = np.ones((space.shape[0], 1))  # rows of the regressor sum to one
    matrix = np.concatenate([space.reshape(len(space), -1), ones], axis=1)
    wanted = np.concatenate([joints.reshape(len(joints), -1), np.ones((len(joints), 1))], axis=1)
    parents = np.array(model.parents)
    hands = {f"hands_mean{end}": np.zeros(45) for end in "lr"} | {f"hands_components{end}": np.eye(45) for end in "lr"}
    return hands | {
        "v_template": np.asarray(model.v_template, np.float64),
        "shapedirs": shapes,
        "posedirs": np.zeros((*shapes.shape[:2], 9 * (len(parents) - 1)), np.float32),
        "J_regressor": wanted @ np.linalg.pinv(matrix),
        "weights": np.asarray(model.skin_weights, np.float64),
        "kintree_table": np.stack([parents, np.arange(len(parents))]),
        "f": np.asarray(model.faces),
    }


def _inputs(batch: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {key: rng.normal(scale=0.4, size=(batch, size)).astype(np.float32) for key, size in _SIZES.items()}


def _show(row: dict[str, Any]) -> None:
    ratio = row["ratio_clean"] or row["ratio_all"]
    spread = f"{ratio['median']:5.2f} [{ratio['min']:.2f}, {ratio['max']:.2f}]"
    times = "  ".join(
        f"{name} {row[name]['median_ms']:8.2f}" for name in ("smplx", "hoijax", "hoijax_joints", "hoijax_subset")
    )
    print(
        f"{row['body']:5s} {row['batch']:4d} {row['mode']:8s}  ms: {times}  smplx/hoijax {spread}, "
        f"{row['clean_rounds']} of {row['rounds']} rounds clean, compiled in {row['hoijax']['compile_s']:.1f} s"
    )


if __name__ == "__main__":
    main(tyro.cli(Config))
