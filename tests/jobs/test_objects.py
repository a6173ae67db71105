"""Distance grids in a cache: the same numbers as without, found by the mesh's contents, damage and age survived."""

import os

import numpy as np
import pytest
import trimesh

from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_solid_template
from hoijax.io import LoadedMesh, MeshReport, read_mesh
from hoijax.jobs import objects
from hoijax.jobs.objects import cached_template, mesh_digest


def box(size=1.0):
    mesh = trimesh.creation.box((size, size, size))
    return Mesh(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.int32))


def arrays(template):
    grid = template.sdf
    return [template.mesh.vertices, template.mesh.faces, template.points, grid.values, grid.origin, grid.spacing]


@pytest.fixture
def made(monkeypatch):
    """Counts the templates that are really made."""
    calls = []

    def count(mesh, resolution):
        calls.append(resolution)
        return make_solid_template(mesh, resolution=resolution)

    monkeypatch.setattr(objects, "make_solid_template", count)
    return calls


def test_a_cached_template_is_bit_for_bit_the_one_that_was_made(made, tmp_path):
    want, solid = make_solid_template(box(), resolution=8)
    for _ in range(2):
        got, report = cached_template(box(), 8, tmp_path / "grids")
        assert report == solid and [type(v) for v in vars(report).values()] == [type(v) for v in vars(solid).values()]
        for a, b in zip(arrays(got), arrays(want)):
            np.testing.assert_array_equal(a, b)
            assert np.asarray(a).dtype == np.asarray(b).dtype
    assert made == [8]


def test_another_mesh_or_resolution_is_another_template(made, tmp_path):
    for size, resolution in ((1, 8), (2, 8), (1, 9), (1, 8)):
        got, _ = cached_template(box(size), resolution, tmp_path)
        assert got.sdf.values.shape == (resolution,) * 3
        np.testing.assert_allclose(np.ptp(got.mesh.vertices, axis=0), size)
    assert made == [8, 8, 9]
    cached_template(box(), 8, None)
    assert made == [8, 8, 9, 8]


@pytest.mark.parametrize("damage", ["empty", "text", "nan", "missing array"])
def test_damaged_files_are_made_again(made, tmp_path, damage):
    cached_template(box(), 8, tmp_path)
    (path,) = tmp_path.iterdir()
    if damage in ("empty", "text"):
        path.write_bytes(b"" if damage == "empty" else b"no archive")
    else:
        with np.load(path) as file:
            kept = dict(file)
        if damage == "nan":
            kept["values"][0, 0, 0] = np.nan
        else:
            del kept["points"]
        np.savez(path, **kept)
    got, _ = cached_template(box(), 8, tmp_path)
    assert made == [8, 8] and np.isfinite(got.sdf.values).all()
    cached_template(box(), 8, tmp_path)
    assert made == [8, 8]


def test_the_oldest_grids_go_first(made, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "CACHE_LIMIT", 2)
    for age, size in enumerate((1, 2)):
        before = set(tmp_path.iterdir())
        cached_template(box(size), 4, tmp_path)
        (path,) = set(tmp_path.iterdir()) - before
        os.utime(path, (1000 + age, 1000 + age))
    cached_template(box(1), 4, tmp_path)  # looked at again: the other one is now the oldest
    cached_template(box(3), 4, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2 and made == [4, 4, 4]
    cached_template(box(1), 4, tmp_path)
    assert len(made) == 3
    cached_template(box(2), 4, tmp_path)
    assert len(made) == 4


def test_a_cache_that_cannot_be_written_is_done_without(made, tmp_path):
    (tmp_path / "file").write_text("")
    for _ in range(2):
        assert cached_template(box(), 4, tmp_path / "file")[0].sdf.values.shape == (4, 4, 4)
    assert made == [4, 4]


def test_a_large_mesh_is_shown_as_it_is_and_computed_with_decimated(made, monkeypatch, tmp_path):
    trimesh.creation.icosphere(subdivisions=3, radius=0.3).export(tmp_path / "ball.obj")
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 8)
    monkeypatch.setattr(objects, "MAX_FACES", 200)
    asset = objects.ObjectAsset.read(tmp_path / "ball.obj", None)
    assert len(asset.mesh.faces) == 1280 and 100 < len(asset.light.faces) < 300
    assert len(asset.template.mesh.faces) == len(asset.light.faces) and made == [8]


def test_a_mesh_is_placed_by_scale_then_rotation_then_translation():
    mesh = LoadedMesh(np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), MeshReport("a", 3, 1))
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)  # x to y, y to -x
    got = objects.place_mesh(mesh, RigidPose(quarter, np.float32([10, 20, 30]), np.float32(2)))
    np.testing.assert_array_equal(got, [[10, 22, 30], [8, 20, 30], [10, 20, 32]])
    assert got.dtype == np.float32


def test_what_a_library_warns_about_becomes_a_note(tmp_path, monkeypatch, recwarn):
    """A box without its top, facing inward."""
    shape = trimesh.creation.box((0.4, 0.3, 0.2))
    trimesh.Trimesh(shape.vertices, shape.faces[2:, ::-1], process=False).export(tmp_path / "open.obj")
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 16)
    asset = objects.ObjectAsset.read(tmp_path / "open.obj", None)
    assert "its faces were turned" in " ".join(asset.light.report.notes()) and not len(recwarn)


def test_a_mesh_that_is_said_to_stand_is_taken_as_it_is_without_a_hint():
    mesh = LoadedMesh(
        np.eye(3, dtype=np.float32), np.array([[0, 1, 2]], np.int32), MeshReport("a", 3, 1, likely_up="+z")
    )
    assert "+z were up" in " ".join(mesh.report.notes())
    got = objects.set_up(mesh, (0.0, 1.0, 0.0), (0.0, 1.0, 0.0))
    assert got.report.notes() == [] and got.vertices is mesh.vertices
    assert objects.set_up(mesh, None, (0.0, 1.0, 0.0)) is mesh


def test_stored_assets_are_read_once_and_turned(made, tmp_path, monkeypatch):
    trimesh.creation.box((0.4, 0.3, 0.2)).export(tmp_path / "a.obj")
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 8)
    asset = objects.StoredAsset(tmp_path / "a.obj", None, (0.0, 0.0, 1.0), (0.0, 1.0, 0.0), None)
    assert made == []
    np.testing.assert_allclose(np.ptp(asset.mesh.vertices, axis=0), [0.4, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(np.ptp(asset.template.mesh.vertices, axis=0), [0.4, 0.2, 0.3], atol=1e-6)
    assert "its +z points up" in " ".join(asset.light.report.notes()) and made == [8]


def test_a_gltf_is_another_where_the_file_beside_it_is(tmp_path):
    """Its vertices are not in the file that is named."""
    for name, data in trimesh.exchange.gltf.export_gltf(trimesh.Scene(trimesh.creation.box((0.3,) * 3))).items():
        (tmp_path / ("box.gltf" if name == "model.gltf" else name)).write_bytes(data)
    path = tmp_path / "box.gltf"
    first = mesh_digest(path, read_mesh(path))
    assert mesh_digest(path, read_mesh(path)) == first
    for beside in tmp_path.glob("*.bin"):
        numbers = np.frombuffer(beside.read_bytes(), np.float32)
        if np.allclose(np.abs(numbers), 0.15):
            beside.write_bytes((0.5 * numbers).tobytes())
    assert np.ptp(read_mesh(path).vertices) < 0.2
    assert mesh_digest(path, read_mesh(path)) != first
