"""The furniture that comes with hoijax: what it is, that it is whole, and which of it networks are trained on."""

import collections
import importlib.resources

import numpy as np
import pytest

from hoijax.data.objects.real import DIGEST, read_split, shipped
from hoijax.errors import InputError
from hoijax.experiments.real_objects.cases import CASES
from hoijax.geometry import build_solid_sdf, query_sdf

ASSETS = importlib.resources.files("hoijax.assets") / "furniture"
#: Height in metres that things of a kind have.
HEIGHTS = {
    "armchair": (0.7, 1.1), "bag": (0.15, 0.4), "ball": (0.2, 0.3), "bed": (0.7, 1.2), "bench": (0.4, 0.6),
    "bin": (0.25, 0.5), "bottle": (0.12, 0.35), "box": (0.2, 0.7), "cabinet": (0.4, 2.4), "chair": (0.7, 1.25),
    "cup": (0.03, 0.2), "desk": (0.7, 1.1), "lamp": (0.3, 0.6), "plant": (0.15, 0.4), "racket": (0.02, 0.8),
    "sofa": (0.7, 1.0), "stool": (0.4, 1.0), "table": (0.6, 1.1), "toy": (0.1, 0.6), "umbrella": (0.7, 1.0),
    "wheelbarrow": (0.4, 0.8),
}  # fmt: skip


@pytest.fixture(scope="module")
def shapes():
    return shipped()


def test_there_are_shapes_of_many_kinds_for_training_and_for_tests(shapes):
    assert 30 <= len(shapes) <= 60 and len({s.name for s in shapes}) == len({s.number for s in shapes}) == len(shapes)
    kinds = {split: {s.kind for s in shipped(split)} for split in ("train", "test")}
    both = {"armchair", "bag", "bed", "bottle", "box", "cabinet", "chair", "cup", "lamp", "sofa", "stool", "table"}
    assert both <= kinds["train"] & kinds["test"]
    assert {s.kind for s in shapes} == set(HEIGHTS)


def test_the_splits_share_nothing_and_one_file_says_them(shapes):
    train, test = shipped("train"), shipped("test")
    assert not {s.number for s in train} & {s.number for s in test} and len(train) + len(test) == len(shapes)
    text = (ASSETS / "split.csv").read_text()
    for shape in shapes:
        assert text.count(f"\n{shape.kind},{shape.number},{shape.split}\n") == 1
        assert shape.name == f"{shape.kind}_{shape.number:03d}"
    assert text.count("\n") == len(shapes) + 1 == len(read_split()) + 1


def test_what_the_refiner_is_judged_on_is_not_trained_on():
    judged = {case.number for case in CASES if case.number is not None and not case.dev}
    assert judged & {s.number for s in shipped("test")}
    assert not judged & {s.number for s in shipped("train")}


def test_shapes_are_asked_for_by_kind_and_split(shapes):
    chairs = shipped("test", kind="chair")
    assert [s.name for s in chairs] == ["chair_065", "chair_143"]
    assert len(shipped(kind="chair")) == sum(s.kind == "chair" for s in shapes)
    with pytest.raises(InputError, match="no shipped shape has the kind 'piano'; there are armchair, bag"):
        shipped(kind="piano")
    with pytest.raises(InputError, match="no shipped shape has the split 'dev'; there are test, train"):
        shipped("dev")
    assert shipped("train", kind="racket") == ()


def test_every_mesh_is_whole_of_real_size_and_stands_on_the_floor(shapes):
    for shape in shapes:
        mesh = shape.mesh
        assert mesh.vertices.dtype == np.float32 and mesh.faces.dtype == np.int32
        assert np.isfinite(mesh.vertices).all() and 50 < len(mesh.faces) <= 20_500, shape.name
        np.testing.assert_array_equal(np.unique(mesh.faces), np.arange(len(mesh.vertices)), err_msg=shape.name)
        assert (np.sort(mesh.faces, axis=1)[:, 1:] > np.sort(mesh.faces, axis=1)[:, :-1]).all(), shape.name
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        size = high - low
        # What edge collapse and 16 bits may move: 1 % of the shape.
        slack = 0.01 * np.linalg.norm(size)
        assert abs(low[1]) < slack and abs(low[[0, 2]] + high[[0, 2]]).max() < 2 * slack, shape.name
        assert HEIGHTS[shape.kind][0] <= size[1] <= HEIGHTS[shape.kind][1], (shape.name, size)
        assert 0.04 < size.max() < 2.6, shape.name


def test_the_back_of_seats_is_at_minus_z(shapes):
    """The upper quarter of what has a back, between the arms, lies behind its middle."""
    for shape in (s for s in shapes if s.kind in ("chair", "armchair", "sofa")):
        corners = shape.mesh.vertices[shape.mesh.faces]
        middle = corners.mean(axis=1)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        width, height, depth = np.ptp(shape.mesh.vertices, axis=0)
        above = (middle[:, 1] > 0.75 * height) & (np.abs(middle[:, 0]) < 0.25 * width)
        assert np.average(middle[above, 2], weights=area[above]) < -0.1 * depth, shape.name


def test_meshes_are_read_when_asked_for_and_cannot_be_spoilt(shapes):
    shape = shapes[0]
    assert shape.mesh is shape.mesh
    for array in (shape.mesh.vertices, shape.mesh.faces):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_a_distance_grid_finds_the_inside_of_shapes_that_are_closed_and_of_shells():
    """Spots that anybody can tell: the middle of a ball, the seat's wood, the air under a table."""
    for name, inside, outside in (
        ("ball_078", (0, 0.12, 0), (0.11, 0.23, 0.11)),
        ("bottle_053", (0, 0.1, 0), (0.09, 0.1, 0)),
        ("table_134", (0, 0.72, 0), (0.5, 0.5, 0.3)),
        ("armchair_086", (0, 0.2, 0), (0, 0.7, 0.3)),
    ):
        shape = next(s for s in shipped() if s.name == name)
        grid, _ = build_solid_sdf(shape.mesh, resolution=48)
        distance = np.asarray(query_sdf(grid, np.float32([inside, outside])))
        assert distance[0] < 0 < distance[1], (name, distance)


def test_page_and_notice_name_the_source(shapes):
    page, notice = (ASSETS / "README.md").read_text(), (ASSETS.parents[1] / ".." / "NOTICE").resolve().read_text()
    assert DIGEST in page and "CC0" in page and "1.8-1" in page
    assert DIGEST in notice and "sweethome3d-furniture 1.8-1" in notice
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ") and "_" in line]
    assert collections.Counter((r[0][2:], r[2], int(r[5])) for r in rows) == collections.Counter(
        (s.name, s.split, len(s.mesh.faces)) for s in shapes
    )
    assert sum(f.stat().st_size for f in ASSETS.iterdir()) < 4e6
