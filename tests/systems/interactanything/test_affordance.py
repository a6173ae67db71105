"""Equations 4 and 5 against closed forms."""

import numpy as np
import pytest
import trimesh

from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.systems.interactanything import affordance as aff

RNG = np.random.default_rng(0)
PIXELS = RNG.uniform(0, 100, (3, 40, 2)).astype(np.float32)
KEYS = RNG.uniform(0, 100, (3, 5, 2)).astype(np.float32)
SURE = np.ones((3, 5), np.float32)


def reference(pixels, keys, sure, tau=0.08):
    """The two equations in loops."""
    views = []
    for u, k, c in zip(pixels.astype(float), keys.astype(float), sure):
        k = k[c >= 0.3]
        if len(k):
            size = np.hypot(*np.ptp(u, axis=0))
            views.append([np.exp(-min(np.hypot(*(p - q)) for q in k) / (tau * size)) for p in u])
    mean = np.mean(views, axis=0)
    return mean / mean.sum()


def test_both_equations_as_written():
    sure = SURE.copy()
    sure[1, :3] = 0.2
    sure[2] = 0.1  # this view does not count at all
    got = np.asarray(aff.affordance(PIXELS, KEYS, sure))
    np.testing.assert_allclose(got, reference(PIXELS, KEYS, sure), rtol=2e-4)
    np.testing.assert_allclose(got, np.asarray(aff.affordance(PIXELS[:2], KEYS[:2], sure[:2])), rtol=1e-5)
    assert abs(got.sum() - 1) < 1e-5 and (got > 0).all()


def test_scale_permutations_and_nothing_seen():
    got = np.asarray(aff.affordance(PIXELS, KEYS, SURE))
    np.testing.assert_allclose(aff.affordance(2 * PIXELS, 2 * KEYS, SURE), got, rtol=1e-4)
    order = RNG.permutation(40)
    np.testing.assert_allclose(aff.affordance(PIXELS[::-1, order], KEYS[::-1], SURE), got[order], rtol=1e-4)
    np.testing.assert_allclose(aff.affordance(PIXELS, KEYS, 0 * SURE), np.full(40, 1 / 40), rtol=1e-5)
    np.testing.assert_allclose(aff.affordance(PIXELS, KEYS + 1e6, SURE), np.full(40, 1 / 40), rtol=1e-5)
    f, valid = aff.view_affordance(PIXELS[0], PIXELS[0, 7:8], SURE[0, :1])
    assert valid and f[7] == 1.0 and np.argmax(f) == 7


def test_a_hand_at_a_corner_marks_it():
    box = trimesh.creation.box((0.4, 0.2, 0.3)).subdivide().subdivide()
    points = np.asarray(box.vertices, np.float32)
    corner = points[np.argmax(points.sum(axis=1))]
    weights = aff.affordance_of_bodies(points, np.tile(corner, (2, 1, 1)))
    assert np.argmax(weights) == np.argmax(points.sum(axis=1))
    axes = aff.view_axes()
    np.testing.assert_allclose(np.einsum("iac,ibc->iab", axes, axes), np.tile(np.eye(2), (8, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(axes[0], [[1, 0, 0], [0, np.cos(np.radians(15)), -np.sin(np.radians(15))]], atol=1e-12)


def test_contact_area_lift_and_blend():
    grid = trimesh.creation.box((1, 1, 1)).subdivide().subdivide().subdivide()
    vertices = np.asarray(grid.vertices)
    mesh = Mesh(vertices, np.asarray(grid.faces))
    gap = np.linalg.norm(vertices - [0.5, 0.5, 0.5], axis=1)
    weights = np.exp(-gap / 0.1)
    weights[np.argmin(np.linalg.norm(vertices + 0.5, axis=1))] = weights.max() * 0.03  # one speck on the other side
    area = aff.contact_area(weights, mesh)
    assert 32 <= len(area) <= 1.2 * (0.1 * len(vertices) + 32) and gap[area].max() < 0.9
    even = aff.lift(vertices, np.full(len(vertices), 1.0), vertices)
    np.testing.assert_allclose(even, 1 / len(vertices), rtol=1e-6)
    one = np.zeros(len(vertices))
    one[5] = 1.0
    assert np.argmax(aff.lift(vertices, one, vertices)) == 5
    np.testing.assert_allclose(aff.blend([one, 0.5 * np.ones(len(vertices))]), 1.0)


def test_every_part_has_keypoints():
    from hoijax.body_models import free_body
    from hoijax.systems.interactanything.relations.schema import BODY_PARTS

    names = free_body("test").joint_names
    for part in BODY_PARTS:
        assert set(aff.joints_of(part)) <= set(names)
        assert all(
            n.startswith(part.split("_")[0]) for n in aff.joints_of(part) if part.split("_")[0] in ("left", "right")
        )
    with pytest.raises(InputError, match="no keypoints"):
        aff.joints_of("left_wing")
    with pytest.raises(InputError, match="no keypoints"):
        aff.joints_of("hand")
