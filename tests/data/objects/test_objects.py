"""Procedural objects: closed, labelled, of real size, and the same for the same seed."""

import inspect

import numpy as np
import pytest
import trimesh

from hoijax.data.objects import CATEGORIES, RANGES, make_object, random_object


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_objects_are_closed_surfaces_turned_outward(category, seed):
    obj = make_object(category) if seed is None else random_object(category, seed)
    mesh = trimesh.Trimesh(obj.mesh.vertices, obj.mesh.faces, process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    for part in mesh.split(only_watertight=False):
        assert part.volume > 0
    np.testing.assert_allclose(mesh.bounds.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.ptp(mesh.bounds, axis=0), obj.size, atol=1e-9)
    assert 0.1 < max(obj.size) < 2.4
    assert mesh.area_faces.min() > 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_part_has_faces_and_hangs_together(category):
    obj = make_object(category)
    assert set(np.unique(obj.part_labels)) == set(range(len(obj.part_names)))
    assert len(obj.part_labels) == len(obj.mesh.faces)
    # No part floats: the pieces touch or overlap, so their boxes, grown by 3 mm, form one connected whole.
    mesh = trimesh.Trimesh(obj.mesh.vertices, obj.mesh.faces, process=False)
    boxes = np.array([p.bounds for p in mesh.split(only_watertight=False)])
    low, high = boxes[:, 0] - 0.003, boxes[:, 1] + 0.003
    meet = np.all((low[:, None] <= high[None]) & (high[:, None] >= low[None]), axis=-1)
    reached = np.zeros(len(boxes), bool)
    reached[0] = True
    for _ in range(len(boxes)):
        reached = meet[reached].any(axis=0) | reached
    assert reached.all()


def test_ranges_name_arguments_around_the_defaults():
    assert RANGES.keys() == CATEGORIES.keys()
    assert len(CATEGORIES) >= 20
    for category, spans in RANGES.items():
        defaults = inspect.signature(CATEGORIES[category]).parameters
        for name, (low, high) in spans.items():
            assert low <= defaults[name].default <= high, (category, name)


def test_the_same_seed_gives_the_same_object():
    a, b, c = random_object("chair", 3), random_object("chair", 3), random_object("chair", 4)
    np.testing.assert_array_equal(a.mesh.vertices, b.mesh.vertices)
    assert a.size != c.size


def test_unknown_categories_are_refused():
    with pytest.raises(ValueError, match="unknown category 'dragon'"):
        random_object("dragon", 0)
