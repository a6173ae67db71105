"""RoIAlign against the definition written as loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hoijax.nets.blocks.roi_align import roi_align


def bilinear(image, y, x):
    """torchvision's rule for one sample."""
    height, width, _ = image.shape
    if y < -1 or y > height or x < -1 or x > width:
        return np.zeros(image.shape[-1])
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    b, r = y - top, x - left
    upper = (1 - r) * image[top, left] + r * image[top, right]
    return (1 - b) * upper + b * ((1 - r) * image[bottom, left] + r * image[bottom, right])


def reference(image, box, size, samples):
    x0, y0, x1, y1 = box
    steps = max(y1 - y0, 1.0) / size[0], max(x1 - x0, 1.0) / size[1]
    counts = [samples or int(np.ceil(step)) for step in steps]
    out = np.zeros((*size, image.shape[-1]))
    for p, q in np.ndindex(*size):
        for i, j in np.ndindex(*counts):
            y = y0 + (p + (i + 0.5) / counts[0]) * steps[0]
            x = x0 + (q + (j + 0.5) / counts[1]) * steps[1]
            out[p, q] += bilinear(image, y, x) / (counts[0] * counts[1])
    return out


BOXES = {
    "inside, shrunk": (1.3, 2.1, 13.9, 12.0),
    "enlarged": (3.2, 4.4, 6.1, 6.9),
    "partly outside": (-5.7, 8.2, 4.4, 20.5),
    "wholly outside": (30.0, 30.0, 40.0, 44.0),
    "degenerate": (5.5, 6.5, 5.2, 6.4),
    "the whole image": (0.0, 0.0, 17.0, 15.0),
}


@pytest.mark.parametrize("samples", [None, 2])
def test_meets_the_definition(samples):
    image = np.random.default_rng(0).normal(size=(1, 15, 17, 2))
    boxes = np.asarray(list(BOXES.values()))[None]
    got = jax.jit(lambda i, b: roi_align(i, b, (4, 5), samples=samples))(image, boxes)
    for crop, (name, box) in zip(got[0], BOXES.items()):
        np.testing.assert_allclose(crop, reference(image[0], box, (4, 5), samples), atol=1e-12, err_msg=name)


def test_images_keep_their_own_boxes_in_float32():
    image = np.random.default_rng(1).normal(size=(2, 9, 9, 1)).astype(np.float32)
    boxes = np.array([[[1, 1, 7, 7]], [[-2, 0, 5, 8]]], np.float32)
    got = roi_align(image, boxes, (3, 3))
    assert got.dtype == jnp.float32
    for i in range(2):
        np.testing.assert_allclose(got[i, 0], reference(image[i], boxes[i, 0], (3, 3), None), atol=1e-5)


def test_the_image_has_a_gradient_and_the_boxes_have_none():
    image, boxes = jnp.ones((1, 6, 6, 1)), jnp.asarray([[[1.0, 1.0, 4.0, 4.0]]])
    in_image, in_boxes = jax.grad(lambda i, b: jnp.sum(roi_align(i, b, (2, 2))), (0, 1))(image, boxes)
    np.testing.assert_allclose(jnp.sum(in_image), 4.0)  # each of four bins averages
    np.testing.assert_array_equal(in_boxes, 0)
