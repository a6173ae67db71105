"""Texture lookup against SciPy's bilinear interpolation and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.ndimage import map_coordinates

from hoijax.render.texture import sample_texture

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("wrap", "mode"), [("repeat", "grid-wrap"), ("clamp", "nearest")])
def test_matches_scipy(wrap, mode):
    texture, uv = RNG.uniform(size=(5, 7, 3)), RNG.uniform(-1.5, 2.5, (4, 50, 2))
    rows, columns = (1 - uv[..., 1]) * 5 - 0.5, uv[..., 0] * 7 - 0.5
    want = np.stack([map_coordinates(texture[..., k], [rows, columns], order=1, mode=mode) for k in range(3)], axis=-1)
    for fn in (sample_texture, jax.jit(sample_texture, static_argnames="wrap")):
        np.testing.assert_allclose(fn(texture, uv, wrap=wrap), want, atol=1e-12)


def test_texel_centres_and_orientation():
    """The first row is on top (v = 1) and the first column at u = 0."""
    texture = np.arange(6.0).reshape(2, 3, 1)
    uv = np.array([[(j + 0.5) / 3, 1 - (i + 0.5) / 2] for i in range(2) for j in range(3)])
    np.testing.assert_allclose(sample_texture(texture, uv)[:, 0], np.arange(6.0), atol=1e-12)
    np.testing.assert_allclose(sample_texture(texture, np.array([0.0, 1.0]), wrap="clamp"), [0.0])


@pytest.mark.parametrize("wrap", ["repeat", "clamp"])
def test_gradients(wrap):
    texture, uv = RNG.uniform(size=(4, 3, 2)), RNG.uniform(-0.9, 1.9, (20, 2))
    fn = lambda t, c: sample_texture(t, c, wrap=wrap)  # noqa: E731
    check_grads(fn, (texture, uv), 1, ("fwd", "rev"), atol=1e-6, rtol=1e-6)


def test_images_in_one_stack():
    """A part of a stack answers as the image alone, its wrap included."""
    small, large = RNG.uniform(size=(3, 2, 3)), RNG.uniform(size=(4, 5, 3))
    stack = np.zeros((8, 5, 3))
    stack[:3, :2], stack[4:] = small, large
    uv = RNG.uniform(-1, 2, (30, 2))
    which = np.arange(30) % 2
    height, width = np.where(which, 4.0, 3.0), np.where(which, 5.0, 2.0)
    got = sample_texture(stack, uv, size=(height, width), first_row=4 * which)
    want = np.where(which[:, None], sample_texture(large, uv), sample_texture(small, uv))
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_dtype_and_errors():
    assert sample_texture(np.ones((2, 2, 1), np.float32), np.ones((3, 2), np.float32)).dtype == jnp.float32
    with pytest.raises(ValueError, match="mirror"):
        sample_texture(np.ones((2, 2, 1)), np.ones((3, 2)), wrap="mirror")
