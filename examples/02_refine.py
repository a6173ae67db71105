"""A batch of wrong estimates becomes plausible: arrays in, arrays out.

`hoijax refine` does this for files; here the refiner itself is called.
"""

import json
import pathlib
from importlib.resources import files

import jax
import numpy as np
import tyro

from hoijax import viz
from hoijax.body_models import BodyParams, free_body, pose_body
from hoijax.geometry import Mesh, RigidPose, rotation_from_axis_angle
from hoijax.interaction import make_template
from hoijax.io import read_mesh, read_parameters
from hoijax.optim.gradient import Floor, RefineConfig, refine_batch

DEMO = files("hoijax.assets") / "demo"


def main(out: pathlib.Path = pathlib.Path("examples_out/02"), count: int = 4, small: bool = False) -> dict:
    """Refines a man beside his chair from `count` places."""
    model = free_body("test" if small else "default")
    values = read_parameters(DEMO / "sit_chair.npz").values
    chair = read_mesh(DEMO / "sit_chair.glb")
    template = make_template(Mesh(chair.vertices, chair.faces), resolution=32 if small else 112)

    names = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")
    params = BodyParams.from_axis_angle(model, **{name: values[name] for name in names})
    pose = RigidPose(rotation_from_axis_angle(values["obj_rot"]), values["obj_trans"], np.ones(1))
    params, pose = jax.tree.map(lambda x: np.repeat(x, count, axis=0), (params, pose))
    shift = np.random.default_rng(0).normal(scale=0.05, size=(count, 3)).astype(np.float32)
    params = params.replace(translation=params.translation + shift)

    config = RefineConfig().with_steps(20) if small else RefineConfig()
    result = refine_batch(model, params, template, pose, ("buttocks", "back"), config, floor=Floor.at(0.0))
    rows = {}
    for name, state in (("before", result.before), ("after", result.after)):
        rows[name] = {
            "contact": np.asarray(state.contact).max(axis=1).tolist(),  # of the farthest asked part, metres
            "penetration": np.asarray(state.max_penetration).tolist(),
        }
        print(name, {key: f"{100 * max(values):.1f} cm at most" for key, values in rows[name].items()})
    out.mkdir(parents=True, exist_ok=True)
    (out / "distances.json").write_text(json.dumps(rows))
    scenes = []
    for people, place in ((params, pose), (result.params, result.pose)):
        body = pose_body(model, jax.tree.map(lambda x: x[0], people))
        thing = chair.vertices @ np.asarray(place.rotation[0]).T + np.asarray(place.translation[0])
        scenes.append([
            viz.NamedMesh("body", np.asarray(body.vertices), np.asarray(model.faces)),
            viz.NamedMesh("object", thing, chair.faces),
        ])  # fmt: skip
    viz.write_comparison(out / "before_after.png", *scenes, size=64 if small else 384, floor=0.0)
    return rows


if __name__ == "__main__":
    tyro.cli(main)
