import jax
import numpy as np
import pytest
from jax.test_util import check_grads

from hoijax.interaction import attraction_loss, region_distances, smallest_mean

loss_of = jax.jit(attraction_loss, static_argnames=("count", "margin", "power"))


@pytest.fixture
def data():
    rng = np.random.default_rng(1)
    return rng.random(50), rng.random((4, 50)) < 0.4


def reference(distance, region, count):
    chosen = np.sort(distance[region])[:count]
    return chosen.mean() if len(chosen) else 0.0


@pytest.mark.parametrize("count", [1, 5, 50, 500])
def test_mean_of_the_smallest_matches_a_sort(data, count):
    distance, regions = data
    want = [reference(distance, region, count) for region in regions]
    mapped = jax.jit(region_distances, static_argnames="count")
    np.testing.assert_allclose(mapped(distance, regions, count=count), want, rtol=1e-12)
    np.testing.assert_allclose(
        jax.jit(smallest_mean, static_argnames="count")(distance, regions[0], count=count), want[0]
    )


@pytest.mark.parametrize("power", [1, 2])
def test_loss_is_the_weighted_sum_of_hinged_regions(data, power):
    distance, regions = data
    weights = np.array([1.0, 0.0, 0.5, 2.0])
    hinged = np.maximum(distance - 0.1, 0) ** power
    want = sum(w * reference(hinged, region, 6) for w, region in zip(weights, regions, strict=True))
    got = loss_of(distance, regions, weights=weights, count=6, margin=0.1, power=power)
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_only_the_nearest_vertices_are_pulled(data):
    distance, regions = data
    grad = jax.jit(jax.grad(lambda d: loss_of(d, regions[:1], count=3)))(distance)
    members = np.flatnonzero(regions[0])
    nearest = members[np.argsort(distance[members])[:3]]
    assert set(np.flatnonzero(grad)) == set(nearest)
    check_grads(jax.jit(lambda d: loss_of(d, regions, count=3)), (distance,), order=1, modes=("rev",), rtol=1e-6)


def test_empty_regions_and_no_regions_cost_nothing(data):
    distance, _ = data
    value, grad = jax.value_and_grad(lambda d: loss_of(d, np.zeros((2, 50), bool)))(distance)
    assert value == 0 and np.all(grad == 0)
    assert loss_of(distance, np.zeros((0, 50), bool)) == 0


def test_all_touching_gives_a_finite_zero_gradient():
    grad = jax.grad(lambda d: loss_of(d, np.ones((1, 9), bool)))(np.zeros(9))
    assert np.all(grad == 0)


def test_vmap_equals_a_loop(data):
    distance, regions = data
    batch = np.stack([distance, distance[::-1], distance**2])
    got = jax.vmap(lambda d: attraction_loss(d, regions))(batch)
    np.testing.assert_allclose(got, [loss_of(np.ascontiguousarray(d), regions) for d in batch], rtol=1e-12)
