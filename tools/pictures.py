"""Makes the pictures of the docs from what the package ships.

    python tools/pictures.py

Writes docs/images/*.png; about a minute on two cores.
"""

import io
import math
import pathlib

import numpy as np
from PIL import Image

from hoijax import viz
from hoijax.body_models import BodyParams, free_body, free_body_betas, free_body_colors, named_pose, pose_body
from hoijax.data.objects import make_object
from hoijax.render import Studio, frame_points

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "images"


def person(pose, place, turn=0.0, shape="mean", shirt=None):
    """The dressed free body in a named pose, its feet on the floor."""
    model = free_body()
    parameters = named_pose(pose) | {"betas": free_body_betas(shape)}
    vertices = np.array(pose_body(model, BodyParams.from_axis_angle(model, **parameters)).vertices)
    vertices[:, 1] -= vertices[:, 1].min()
    colors = free_body_colors(palette=None if shirt is None else {"shirt": shirt})
    return viz.NamedMesh("body", rotate(vertices, turn) + np.array(place), np.asarray(model.faces), colors)


def standing_object(category, place, turn=0.0, **sizes):
    """A procedural object standing at a place."""
    mesh = make_object(category, **sizes).mesh
    vertices = np.array(mesh.vertices)
    vertices[:, 1] -= vertices[:, 1].min()
    return viz.NamedMesh("object", rotate(vertices, turn) + np.array(place), np.asarray(mesh.faces))


def rotate(vertices, angle):
    """Rotated about the vertical, radians."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return vertices @ np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])


def free_bodies():
    """Three people of different shape: one sits, one carries, one walks."""
    scene = [
        person("sit", (-0.95, 0.0, 0.0)),
        standing_object("chair", (-0.95, 0.0, 0.0)),
        person("carry", (0.15, 0.0, 0.0), shape="male", shirt=(0.47, 0.55, 0.42)),
        standing_object("box", (0.15, 1.12, 0.37)),
        person("walk", (1.1, 0.0, 0.1), -0.5, shape="female", shirt=(0.70, 0.36, 0.33)),
    ]
    points = np.concatenate([mesh.vertices for mesh in scene])
    view = {"azimuth": np.array([0.35], np.float32), "elevation": np.array([0.2], np.float32)}
    rig = frame_points(points, **view, image_size=(480, 960))
    return viz.render_views(scene, rig, studio=Studio(samples=32, sky_lights=4))[0]


def write(name, image):
    """A PNG in the folder."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG", optimize=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_bytes(data.getvalue())


if __name__ == "__main__":
    write("free_bodies.png", free_bodies())
