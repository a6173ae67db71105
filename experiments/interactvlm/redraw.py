"""Further pictures of a SynthHOI sample: the same bodies and things by other cameras, lights, colours and rooms.

What is dear of a sample is its fit; a picture costs a fraction of it and tells a network what does not matter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.data.synth import SynthConfig
from hoijax.data.synth.checks import LEVEL, body_mesh
from hoijax.data.synth.pictures import HUMAN, OBJECT, SUPPORT
from hoijax.data.synth.samples import body_piece, object_piece, picture
from hoijax.data.synth.sampling import instance
from hoijax.data.synth.start import Placed


def redraw(sample: dict[str, Any], rng: np.random.Generator, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A sample of the training split by another camera.

    Args:
      sample: of SynthHOI.
      rng: source of chance.
      size: side of the picture, pixels.

    Returns:
      The picture (S, S, 3), bytes, and the mask of what is seen of the person (S, S).
    """
    vertices, joints, placed = stands(sample)
    rows = sample["furniture"]
    furniture = [_placed(row["category"], row["seed"], row["rotation"], row["translation"]) for row in rows]
    return draw_view(rng, vertices, joints, placed, furniture, size)


def stands(sample: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, Placed]:
    """Vertices and joints of a sample's "default" body in the world, metres, y up, and its object."""
    body = {name: np.asarray(values, np.float64) for name, values in sample["body"].items()}
    turns = np.concatenate(
        [body[name].reshape(-1, 3) for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")]
    )
    vertices, joints = body_mesh(Rotation.from_rotvec(turns).as_matrix(), body["betas"], body["transl"])
    return vertices, joints, _placed(sample["category"], sample["object_seed"], sample["obj_rot"], sample["obj_trans"])


def draw_view(
    rng: np.random.Generator, vertices: np.ndarray, joints: np.ndarray, placed: Placed, furniture: Sequence[Placed],
    size: int = 256,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A picture of a body and things in the world, as those of the training split, and the mask of the person.

    Args:
      rng: source of chance.
      vertices: of the "default" body, metres, y up.
      joints: of it.
      placed: the object.
      furniture: what else stands there.
      size: side of the picture, pixels.
    """
    pieces = [body_piece(rng, vertices), object_piece(rng, placed, OBJECT)]
    pieces += [object_piece(rng, piece, SUPPORT) for piece in furniture]
    wanted = [vertices[::7]]
    if max(placed.object.size) < 1.1:
        wanted.append(placed.vertices())
    config = SynthConfig(image_size=size)
    drawn = picture(config, "train", rng, pieces, joints, np.concatenate(wanted))[0]
    return drawn.image, drawn.label == HUMAN


def _placed(category: str, seed: Any, turn: np.ndarray, place: np.ndarray) -> Placed:
    rotation = Rotation.from_rotvec(np.asarray(turn, np.float64)).as_matrix()
    return Placed(instance(category, int(seed)), rotation, np.asarray(place, np.float64), int(seed))


def mirrored_vertices(level: str = LEVEL) -> np.ndarray:
    """For each vertex of the free body, by default the labelled one, the one on its other side, (V,)."""
    template = np.asarray(free_body(level).v_template)
    return cKDTree(template).query(template * [-1, 1, 1])[1]
