"""People that fit the room around them: GRAFT's network moves bodies to the surfaces they touch.

The room is a floor and a bench; the person sits 8 cm in the air, and is put on the bench in one pass.
"""

import json
import pathlib

import numpy as np
import trimesh
import tyro

from hoijax import cli
from hoijax.body_models import named_pose


def main(out: pathlib.Path = pathlib.Path("examples_out/08"), small: bool = False) -> dict:
    """Runs `hoijax refine --scene`."""
    out.mkdir(parents=True, exist_ok=True)
    bench = trimesh.creation.box((1.4, 0.42, 0.5), trimesh.transformations.translation_matrix((0, 0.21, 0)))
    floor = trimesh.creation.box((5, 0.1, 5), trimesh.transformations.translation_matrix((0, -0.05, 0)))
    room, people = out / "room.ply", out / "people.npz"
    trimesh.util.concatenate([floor, bench]).export(room)

    seat = 0.42 + 0.1 + 0.08  # of the pelvis: the bench's height, flesh, and the error
    pose = {key: np.asarray(value, np.float32)[None] for key, value in named_pose("sit").items()}
    pose["transl"] = np.float32([[0, seat, 0]])
    np.savez(people, **pose)

    quick = ["--lod", "test", "--pictures", "0"] if small else []
    code = cli.main(
        [
            "refine",
            "--scene",
            str(room),
            "--body",
            str(people),
            "--out",
            str(out / "fitted"),
            "--prior",
            "graft",
            *quick,
        ]
    )
    return {"code": code, "record": json.loads((out / "fitted" / "metrics.json").read_text())}


if __name__ == "__main__":
    tyro.cli(main)
