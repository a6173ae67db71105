"""Frames of one person become one motion: smooth, one shape, one floor; then a file that Blender plays.

The frames are a shipped estimate that walks a step, each with noise of its own, as methods that see one picture at a
time give them.
"""

import json
import pathlib
import shutil
from importlib.resources import files

import numpy as np
import tyro

from hoijax import cli

DEMO = files("hoijax.assets") / "demo"


def main(out: pathlib.Path = pathlib.Path("examples_out/07"), frames: int = 24, small: bool = False) -> dict:
    """Runs `hoijax refine --sequence` and `hoijax export`."""
    frames = 4 if small else frames
    out.mkdir(parents=True, exist_ok=True)
    mesh, estimate = out / "box.glb", out / "frames.npz"
    shutil.copy(DEMO / "carry_box.glb", mesh)
    rng = np.random.default_rng(0)
    one = dict(np.load(DEMO / "carry_box.npz"))
    rows = {name: np.repeat(value[None], frames, axis=0) for name, value in one.items()}
    for name in ("transl", "obj_trans"):
        rows[name][:, 2] += np.linspace(0, 0.3, frames)  # a step forward, metres
        rows[name] += rng.normal(scale=0.02, size=rows[name].shape)
    rows["body_pose"] += rng.normal(scale=0.05, size=rows["body_pose"].shape)
    np.savez(estimate, **rows)

    quick = ["--steps", "4", "--lod", "test", "--pictures", "0"] if small else []
    code = cli.main(
        ["refine", "--body", str(estimate), "--object", str(mesh), "--out", str(out / "refined"), "--sequence"]
        + ["--contact", "left_palm,right_palm", "--floor", "0", "--fps", "30", *quick]
    )
    cli.main(["export", str(out / "refined"), "--out", str(out / "carry.glb")])
    return {
        "code": code,
        "glb": (out / "carry.glb").stat().st_size,
        "record": json.loads((out / "refined/metrics.json").read_text()),
    }


if __name__ == "__main__":
    tyro.cli(main)
