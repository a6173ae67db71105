"""Which way is up in furniture made of boxes, turned every way."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from hoijax.data.objects import random_object
from hoijax.geometry import likely_up


def box(low, high):
    mesh = trimesh.creation.box(np.subtract(high, low))
    mesh.apply_translation(np.add(low, high) / 2)
    return mesh


def legs(height, half, thick=0.02):
    return [
        box((x - thick, 0, z - thick), (x + thick, height, z + thick)) for x in (-half, half) for z in (-half, half)
    ]


CHAIR = trimesh.util.concatenate([
    box((-0.22, 0.42, -0.22), (0.22, 0.45, 0.22)), box((-0.22, 0.45, -0.25), (0.22, 0.95, -0.22)), *legs(0.42, 0.2)
])  # fmt: skip
TABLE = trimesh.util.concatenate([box((-0.7, 0.7, -0.5), (0.7, 0.74, 0.5)), *legs(0.7, 0.4, 0.03)])
TO = {"+y": [0, 0, 0], "+z": [90, 0, 0], "-z": [-90, 0, 0], "-y": [180, 0, 0], "+x": [0, 0, -90], "-x": [0, 0, 90]}
"""Turns, degrees, that bring y to each axis."""


@pytest.mark.parametrize("axis", TO)
@pytest.mark.parametrize("mesh", [CHAIR, TABLE], ids=["chair", "table"])
def test_furniture_on_legs_tells_its_up(mesh, axis):
    turned = Rotation.from_euler("xyz", TO[axis], degrees=True).apply(mesh.vertices)
    assert likely_up(turned.astype(np.float32), mesh.faces) == axis


@pytest.mark.parametrize(
    "mesh",
    [
        trimesh.creation.box((0.5, 0.7, 0.2)),
        trimesh.creation.icosphere(subdivisions=2),
        trimesh.creation.cylinder(radius=0.05, height=0.3),
        trimesh.util.concatenate([box((-0.3, 0.1, -0.2), (0.3, 0.6, 0.2)), *legs(0.1, 0.15)]),  # a case on feet
    ],
    ids=["box", "ball", "rod", "case"],
)  # fmt: skip
def test_nothing_is_said_of_what_looks_alike_or_stands_well(mesh):
    up = likely_up(mesh.vertices.astype(np.float32), mesh.faces)
    assert up == "+y", up


def test_nothing_is_said_of_a_flat_sheet_either():
    corners = np.array([[-1, 0, -1], [1, 0, -1], [1, 0, 1], [-1, 0, 1]], np.float32)
    for axis in range(3):
        assert likely_up(np.roll(corners, axis, axis=1), np.array([[0, 1, 2], [0, 2, 3]])) == "+y"


@pytest.mark.parametrize(
    "category", ["chair", "table", "bench", "stool", "door", "monitor", "cup", "backpack", "suitcase"]
)
def test_made_up_objects_stand_as_they_are_made(category):
    on_legs = category in ("chair", "table", "bench", "stool")
    for seed in range(2):
        mesh = random_object(category, seed).mesh
        vertices = np.asarray(mesh.vertices, np.float64)
        for axis, degrees in TO.items():
            if axis in ("+y", "+z", "-y") if on_legs else axis == "+y":
                turned = Rotation.from_euler("xyz", degrees, degrees=True).apply(vertices)
                assert likely_up(turned.astype(np.float32), np.asarray(mesh.faces)) == axis, (category, seed)
