"""Readers of other people's objects, on a small archive of the catalogue's form."""

import sys
import zipfile

import numpy as np
import pytest
import trimesh

from hoijax.data.objects.real import load_furniture, load_packaged, read_catalogue
from hoijax.errors import InputError
from hoijax.io import file_digest

PROPERTIES = """
id=SweetHome3D
name#1=Stuhl \xe9
category#1=Office
model#1=/set/chair/chair.obj
width#1=40
depth#1=50
height#1=90
name#2=Lying box
model#2=/set/box.obj
width#2=30
depth#2=20
height#2=10
modelRotation#2=1 0 0 0 0 1 0 -1 0
name#3=No model
"""
WEDGE = "v 0 0 0\nv 2 0 0\nv 0 4 0\nv 0 0 8\nv 9 9 9\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\nf 1 2\n"


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "set.sh3f"
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("PluginFurnitureCatalog.properties", PROPERTIES.encode("latin-1"))
        files.writestr("set/chair/chair.obj", WEDGE)
        files.writestr("set/box.obj", trimesh.creation.box((1, 2, 4)).export(file_type="obj"))
    return path


def test_the_catalogue_lists_models_in_metres(archive):
    got = read_catalogue(archive, digest=file_digest(archive))
    assert list(got) == [1, 2]
    assert (got[1].name, got[1].category, got[1].size) == ("Stuhl \xe9", "Office", (0.4, 0.9, 0.5))
    assert got[2].rotation == (1, 0, 0, 0, 0, 1, 0, -1, 0)


def test_models_are_stretched_to_their_size_and_stand_above_the_origin(archive):
    mesh = load_furniture(read_catalogue(archive, digest=None)[1], archive)
    assert mesh.faces.shape == (4, 3)  # the line of two corners is none
    used = mesh.vertices[np.unique(mesh.faces)]
    np.testing.assert_allclose(used.min(axis=0), [-0.2, 0.0, -0.25], atol=1e-7)
    np.testing.assert_allclose(used.max(axis=0), [0.2, 0.9, 0.25], atol=1e-7)


def test_a_model_is_turned_before_it_is_sized(archive):
    box = load_furniture(read_catalogue(archive, digest=None)[2], archive)
    turned = np.ptp(box.vertices, axis=0)
    np.testing.assert_allclose(turned, [0.3, 0.1, 0.2], atol=1e-6)
    # Its longest side was z, which the matrix makes y: the box's corners come in that order.
    source = trimesh.creation.box((1, 2, 4)).vertices
    turned = (np.reshape([1, 0, 0, 0, 0, 1, 0, -1, 0], (3, 3)) @ source.T).T
    np.testing.assert_array_equal(np.sign(turned[:, 1]), np.sign(box.vertices[:, 1] - 0.05))


def test_another_archive_and_none_are_refused(archive, tmp_path):
    with pytest.raises(InputError, match="SHA-256"):
        read_catalogue(archive)
    with pytest.raises(InputError, match="sweethome3d-furniture"):
        read_catalogue(tmp_path / "none.sh3f")
    (tmp_path / "text.sh3f").write_text("no zip")
    with pytest.raises(InputError, match="no furniture archive"):
        read_catalogue(tmp_path / "text.sh3f", digest=None)


def test_meshes_of_packages_are_found_sized_and_turned(tmp_path, monkeypatch):
    (tmp_path / "somepackage" / "meshes").mkdir(parents=True)
    (tmp_path / "somepackage" / "__init__.py").write_text("raise RuntimeError('imported')")
    trimesh.creation.box((1, 2, 4)).export(tmp_path / "somepackage" / "meshes" / "box.stl")
    monkeypatch.syspath_prepend(tmp_path)
    got = load_packaged("somepackage", "meshes/box.stl", 0.4, z_up=True)
    np.testing.assert_allclose(np.ptp(got.vertices, axis=0), [0.2, 0.4, 0.1], atol=1e-6)
    assert got.vertices[:, 1].min() == 0
    assert "somepackage" not in sys.modules
    with pytest.raises(InputError, match=r"hoijax\[objects\]"):
        load_packaged("nosuchpackage", "meshes/box.stl", 0.4)
