"""Makes the inputs of the demo's cases of each system: a room with a person in the air, a photograph with a mask.

    pip download --no-deps scikit-image && unzip scikit_image-*.whl 'skimage/data/astronaut.png'
    python -m tools.demo_systems --photograph skimage/data/astronaut.png

Writes hoijax/assets/demo/systems/. The photograph is NASA's portrait of Eileen Collins from scikit-image's example
data, in the public domain; the helmet's mask is an ellipse drawn over it, and a ball of its size stands for it.
Seconds.
"""

import argparse
import io
import pathlib

import numpy as np
import trimesh
from PIL import Image, ImageDraw

from hoijax.body_models import named_pose
from hoijax.io import write_bytes, write_npz

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "hoijax" / "assets" / "demo" / "systems"
OUTLINE, RADIUS = (280, 344, 502, 560), 0.165
"""Of the helmet, left, top, right, bottom, pixels, partly below the picture; of the ball that stands for it, metres."""
BENCH, ERROR, FLESH = 0.42, 0.08, 0.1
"""Metres: the bench's height, how far the person sits above it, from a seat to the pelvis."""


def write_room() -> None:
    """A floor with a bench, and a person who sits above it."""
    bench = trimesh.creation.box((1.4, BENCH, 0.5), trimesh.transformations.translation_matrix((0, BENCH / 2, 0)))
    floor = trimesh.creation.box((3, 0.1, 3), trimesh.transformations.translation_matrix((0, -0.05, 0)))
    write_bytes(FOLDER / "room.ply", trimesh.util.concatenate([floor, bench]).export(file_type="ply"))
    pose = {key: np.asarray(value, np.float32)[None] for key, value in named_pose("sit").items()}
    write_npz(FOLDER / "people.npz", pose | {"transl": np.float32([[0, BENCH + FLESH + ERROR, 0]])})


def write_photograph(path: pathlib.Path) -> None:
    """The photograph, the helmet's mask, and a ball for the helmet."""
    picture = Image.open(path).convert("RGB")
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse(OUTLINE, fill=255)
    for name, image, kind, options in (
        ("photograph.jpg", picture, "JPEG", {"quality": 85}),
        ("helmet.png", mask, "PNG", {"optimize": True}),
    ):
        data = io.BytesIO()
        image.save(data, kind, **options)
        write_bytes(FOLDER / name, data.getvalue())
    write_bytes(FOLDER / "helmet.ply", trimesh.creation.icosphere(3, RADIUS).export(file_type="ply"))


def main() -> None:
    """Writes both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=pathlib.Path, required=True, help="astronaut.png of scikit-image")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    write_room()
    write_photograph(options.photograph)


if __name__ == "__main__":
    main()
