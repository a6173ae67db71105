"""Makes docs/reconstruct.md's picture of a photograph and what `hoijax reconstruct` makes of it.

    pip download --no-deps scikit-image && unzip scikit_image-*.whl 'skimage/data/astronaut.png'
    python -m tools.photograph --photograph skimage/data/astronaut.png

The photograph is NASA's portrait of Eileen Collins from scikit-image's example data, in the public domain. The helmet
in her lap is taken for a ball of its size; a box about it says where it is, and its mask is grown from there. Nothing
else is given: neither masks nor the focal length. Writes docs/images/photograph.jpg: the photograph with the box, the
answer over it, and the answer from the side. Two minutes.
"""

import argparse
import pathlib

import numpy as np
import trimesh
from PIL import Image, ImageDraw

from hoijax.cli.reconstruct import Options, run
from hoijax.render import frame_points
from hoijax.viz import NamedMesh, read_scene, render_views

PICTURE = pathlib.Path(__file__).resolve().parents[1] / "docs" / "images" / "photograph.jpg"
BOX = (278, 340, 500, 512)
"""About the helmet; left, top, right, bottom."""
ORANGE = (0.95, 0.7, 0.3)
"""Of the object, as in the overlay."""
SIDE = 400
"""Of each of the three pictures, pixels."""


def from_the_side(scene: list[NamedMesh]) -> np.ndarray:
    """Body and object as seen from their left, a little from above, down to what the photograph shows."""
    scene = [NamedMesh(m.name, m.vertices, m.faces, ORANGE if m.name == "object" else m.colors) for m in scene]
    points = np.concatenate([mesh.vertices for mesh in scene])
    turn, rise = (np.float32([np.radians(degrees)]) for degrees in (62, 8))
    lowest = next(mesh for mesh in scene if mesh.name == "object").vertices[:, 1].min()
    camera = frame_points(points[points[:, 1] > lowest], azimuth=turn, elevation=rise, image_size=(SIDE, SIDE))
    return render_views(scene, camera)[0]


def main() -> None:
    """Reconstructs and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=pathlib.Path, required=True, help="astronaut.png of scikit-image")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("runs/photograph"), help="kept between runs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    mesh = options.work / "helmet.obj"
    if not mesh.is_file():
        trimesh.creation.icosphere(4, 0.165).export(mesh)
    out = options.work / "out"
    run(Options(
        image=options.photograph, object=mesh, out=out, object_box=",".join(map(str, BOX)), size_std=0.2,
    ))  # fmt: skip
    given = Image.open(options.photograph).convert("RGB")
    ImageDraw.Draw(given).rectangle(BOX, outline=(255, 220, 0), width=3)
    answer = Image.open(out / "overlay.png")
    tiles = [np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)) for picture in (given, answer)]
    tiles.append(from_the_side(list(read_scene(out / "interaction.glb"))))
    Image.fromarray(np.concatenate(tiles, axis=1)).save(PICTURE, quality=85)


if __name__ == "__main__":
    main()
