"""ScoreHOI's first stage put together by hand: what goes from head to head, in which frame and order.

The heads are tested against the authors' answers elsewhere; here they are the same heads, with random weights, and all
between them is written out in NumPy from specs/scorehoi.md 2.4 and 3 to 4.1. The backbones are replaced by the mean
colours of patches, mixed at random: they keep what is where, and cost nothing. Sizes are all different, so that no two
can be confused.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.ndimage import map_coordinates

from hoijax.nets.scorehoi import Hand4WholeConfig, RegressorConfig, ScoreHOIRegressor

CROP, HAND, FOCAL = 320, 96, 700.0
CELLS, HAND_CELLS = 5, 3  # of 32 pixels
V, P, NUMBERS, B = 9, 4, 12 + 5, 2
CONFIG = RegressorConfig(
    hand4whole=Hand4WholeConfig(
        crop=CROP, hand_crop=HAND, blocks=(1, 1, 1, 1), channels=1, box_width=6, joint_width=5,
        object_features=NUMBERS, focal=FOCAL,
    ),
    object_width=8, token=5, depth=1,
)  # fmt: skip
WIDTH = 32  # channels of the feature map
QUICK = {"xla_backend_optimization_level": 0}


class Patches(nnx.Module):
    """The mean of 8 x 8 pixels, sixteen of them a cell, mixed to features; numbers of the object are added."""

    def __init__(self, channels, rng):
        self.mix = nnx.Param(jnp.asarray(rng.normal(size=(16 * channels, WIDTH)) / (4 * channels**0.5), jnp.float32))
        self.more = nnx.Param(jnp.asarray(0.1 * rng.normal(size=(NUMBERS, WIDTH)), jnp.float32))

    def __call__(self, image, numbers=None):
        batch, height, width, channels = image.shape
        x = jnp.mean(jnp.reshape(image, (batch, height // 8, 8, width // 8, 8, channels)), axis=(2, 4))
        x = jnp.reshape(x, (batch, height // 32, 4, width // 32, 4, channels)).transpose(0, 1, 3, 2, 4, 5)
        y = jnp.reshape(x, (batch, height // 32, width // 32, -1)) @ self.mix[...]
        return (
            y
            if numbers is None
            else y + (numbers @ self.more[...])[:, None, None].repeat(y.shape[1], 1).repeat(y.shape[2], 2)
        )


@pytest.fixture(scope="module")
def net(random_module):
    network = random_module(lambda rngs: ScoreHOIRegressor(CONFIG, rngs))
    rng = np.random.default_rng(5)
    parts = network.hand4whole
    parts.backbone, parts.hand_roi_net.backbone = Patches(5, rng), Patches(3, rng)
    # Hand boxes of about a cell before they are enlarged, and cameras a few metres away.
    for i, side in enumerate(("lhand_size", "rhand_size")):
        last = getattr(parts.box_net, side)["2"]
        last.kernel[...] = 0.01 * last.kernel[...]
        last.bias[...] = jnp.asarray([[1.1, 0.7], [0.8, 1.3]][i], jnp.float32)
    camera = parts.body_rotation_net.cam_out[0]
    camera.kernel[...] = 0.05 * camera.kernel[...]
    camera.bias[...] = jnp.asarray([0.1, -0.2, 0.3], jnp.float32)
    net = network.objregressor.obj_trans_out
    net.kernel[...] = 0.2 * net.kernel[...]
    return network


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    coarse = rng.uniform(size=(B, 20, 20, 5))
    image = np.repeat(np.repeat(coarse, 16, axis=1), 16, axis=2) + 0.05 * rng.uniform(size=(B, CROP, CROP, 5))
    return [np.float32(image), *(np.float32(0.5 * rng.normal(size=s)) for s in ((B, NUMBERS), (B, P, 3)))]


def call(module, *inputs):
    """What one head answers, in NumPy."""
    graph, state = nnx.split(module)
    run = jax.jit(lambda state, *x: nnx.merge(graph, state)(*x), compiler_options=QUICK)
    return jax.tree.map(np.asarray, run(state, *(np.asarray(x, np.float32) for x in inputs)))


def vertices_of(pose, betas):
    """A surface that stands for a body's: some linear function."""
    return 0.1 * pose[:, :V, :3] + jnp.broadcast_to(betas[:, None, :3], (pose.shape[0], V, 3)) * 0.1


@pytest.fixture(scope="module")
def got(net, inputs):
    graph, state = nnx.split(net)
    run = jax.jit(
        lambda state, *inputs: nnx.merge(graph, state)(*inputs, vertices_of),
        compiler_options=QUICK,
    )
    return jax.tree.map(np.asarray, run(state, *inputs))


def cut(image, box):
    """RoIAlign of one box (x0, y0, x1, y1) in pixels of the image, `HAND` a side: torchvision's rules, one channel at
    a time. Of bins larger than a pixel several samples are averaged."""
    x0, y0, x1, y1 = box
    axes = []
    for low, high in ((y0, y1), (x0, x1)):
        step = max(high - low, 1.0) / HAND
        count = int(np.ceil(step))
        axes.append((low + (np.arange(HAND * count) + 0.5) * step / count, count))
    (rows, n), (columns, m) = axes
    assert min(rows.min(), columns.min()) > -1 and max(rows.max(), columns.max()) < CROP
    places = np.meshgrid(rows, columns, indexing="ij")
    layers = [map_coordinates(image[..., c], places, order=1, mode="nearest") for c in range(3)]
    return np.stack([x.reshape(HAND, n, HAND, m).mean(axis=(1, 3)) for x in layers], axis=-1)


@pytest.fixture(scope="module")
def want(net, inputs):
    """The first stage, step by step; heads are called, everything between them is NumPy."""
    image, numbers, _ = inputs
    parts = net.hand4whole
    features = call(parts.backbone, image[:, ::2, ::2], numbers)
    joints, heatmap = call(parts.body_position_net, features)
    centre, size = call(parts.box_net, features, heatmap)
    # Spec 3.4: cells of 32 pixels of the half-size image, made square, twice as large.
    boxes = np.stack([
        [[32 * centre[b, h] - 32 * size[b, h].max(), 32 * centre[b, h] + 32 * size[b, h].max()] for h in range(2)]
        for b in range(B)
    ])  # fmt: skip
    crops = [np.stack([cut(image[b, ..., :3], 2 * boxes[b, h].ravel()) for b in range(B)]) for h in range(2)]
    left, right = crops[0][:, :, ::-1], crops[1]  # seen in a mirror
    answers = []
    for crop in (left, right):
        seen = call(parts.hand_roi_net.backbone, crop)
        hand_joints, _ = call(parts.hand_position_net, seen)
        answers.append((seen, hand_joints, call(parts.hand_rotation_net, seen, hand_joints)))
    # Back from the mirror: a cell is 32 pixels, and pixel p of S is seen at pixel S - 1 - p.
    mirrored = answers[0][1].copy()
    mirrored[..., 0] = (HAND - 1 - 32 * mirrored[..., 0]) / 32
    own = [(answers[0][0][:, :, ::-1], mirrored), answers[1][:2]]
    knuckles = [4, 8, 12, 16]  # first joints of index, middle, ring and little finger
    heads = call(
        parts.body_rotation_net, features, joints, own[0][0], own[0][1][:, knuckles], own[1][0], own[1][1][:, knuckles]
    )
    places = [joints / [CELLS, CELLS, 8] - 0.5]
    for (_, hand), box in zip(own, (boxes[:, 0], boxes[:, 1])):
        # From cells of the crop over its pixels into the box, in fractions of the half-size image.
        share = 32 * hand[..., :2] / HAND
        pixels = box[:, None, 0] + share * (box[:, None, 1] - box[:, None, 0])
        places.append(np.concatenate([pixels / (CROP / 2) - 0.5, hand[..., 2:] / 8 - 0.5], axis=-1))
    camera = heads[2].copy()
    camera[:, 2] = 2 * FOCAL / 256 / (1 + np.exp(-heads[2][:, 2]))
    rotation, translation = call(net.objregressor, features, numbers)
    return {
        "features": features, "pose": np.concatenate([heads[0], answers[0][2], answers[1][2]], axis=1),
        "betas": heads[1], "camera": camera, "joints": np.concatenate(places, axis=1),
        "hand_boxes": boxes / (CROP / 2) - 0.5, "object_rotation": rotation, "object_translation": translation,
    }  # fmt: skip


def test_the_boxes_that_are_tried_lie_within_the_picture_and_are_of_different_sizes(want):
    """Else the crops below would not show what goes wrong with them."""
    boxes = want["hand_boxes"]
    sides = boxes[:, :, 1] - boxes[:, :, 0]
    assert np.abs(boxes).max() < 0.5 and np.abs(sides[:, 0] - sides[:, 1]).min() > 0.02
    np.testing.assert_allclose(sides[..., 0], sides[..., 1], atol=1e-6)


def test_body_and_hands_are_put_together_as_written_out(got, want):
    body = got.estimate.body
    assert body.joints.shape == (B, 65, 3) and body.pose.shape == (B, 52, 6)
    for name in ("features", "hand_boxes", "joints", "betas", "camera"):
        np.testing.assert_allclose(getattr(body, name), want[name], atol=2e-4, err_msg=name)
    np.testing.assert_allclose(body.pose, want["pose"], atol=1e-3)
    # Left and right hand are told apart: their rotations and joints differ by far more than that.
    assert np.abs(body.pose[:, 22:37] - body.pose[:, 37:]).mean() > 0.05
    assert np.abs(body.joints[:, 25:45] - body.joints[:, 45:]).mean() > 0.01
    for name in ("object_rotation", "object_translation"):
        np.testing.assert_allclose(getattr(got.estimate, name), want[name], atol=1e-4, err_msg=name)


def sample(features, x, y):
    """Bilinear in cells, nothing outside: one place."""
    total = np.zeros(features.shape[-1])
    for i in (int(np.floor(y)), int(np.floor(y)) + 1):
        for j in (int(np.floor(x)), int(np.floor(x)) + 1):
            if 0 <= i < features.shape[0] and 0 <= j < features.shape[1]:
                total += (1 - abs(y - i)) * (1 - abs(x - j)) * features[i, j]
    return total


def test_contact_tokens_are_features_where_vertices_are_seen_then_their_places(net, inputs, got, want):
    """Body vertices by the given function, object points by the object's pose; both through the estimate's camera."""
    six = want["object_rotation"].reshape(B, 3, 2).astype(np.float64)
    a = six[..., 0] / np.linalg.norm(six[..., 0], axis=-1, keepdims=True)
    b = six[..., 1] - a * np.sum(a * six[..., 1], axis=-1, keepdims=True)
    b /= np.linalg.norm(b, axis=-1, keepdims=True)
    rotation = np.stack([a, b, np.cross(a, b)], axis=-1)
    points = np.einsum("bij,bpj->bpi", rotation, inputs[2]) + want["object_translation"][:, None]
    human = 0.1 * want["pose"][:, :V, :3] + 0.1 * want["betas"][:, None, :3]
    np.testing.assert_allclose(got.human_vertices, human, atol=1e-4)
    np.testing.assert_allclose(got.object_points, points, atol=1e-4)
    inside = []
    for tokens, where, layer in (
        (got.contact.human_tokens, human, net.contactformer.human_fc_in),
        (got.contact.object_tokens, points, net.contactformer.object_fc_in),
    ):
        for i in range(B):
            x, y, z = (where[i] + want["camera"][i]).T
            fraction = np.stack([x, y]) / (z + 1e-4) * FOCAL / 256 + 0.5
            inside += list(np.all((fraction > 0) & (fraction < 1), axis=0))
            found = np.stack([sample(want["features"][i], *(CELLS * f)) for f in fraction.T])
            token = found @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
            np.testing.assert_allclose(tokens[i, :, :-3], token, atol=2e-2 * np.abs(token).max())
            np.testing.assert_allclose(tokens[i, :, -3:], where[i], atol=1e-4)
    assert 0.4 < np.mean(inside) < 1  # some are seen, some are not


def test_contact_and_refinement_go_on_with_those_tokens(net, got):
    tokens = got.contact.human_tokens, got.contact.object_tokens
    for name, logits in zip(("human", "object", "floor"), call(net.contactformer, *tokens)):
        np.testing.assert_allclose(getattr(got.contact, name), logits, atol=1e-4, err_msg=name)
    sure = [1 / (1 + np.exp(-x)) for x in (got.contact.human, got.contact.object)]
    vertices, points = call(net.crformer, *tokens, *sure)
    np.testing.assert_allclose(got.refined_human_vertices, vertices, atol=1e-3)
    np.testing.assert_allclose(got.refined_object_points, points, atol=1e-3)
    contacts = got.contact.probabilities()
    np.testing.assert_allclose(contacts.body, sure[0], atol=1e-5)
    np.testing.assert_allclose(contacts.floor, 1 / (1 + np.exp(-got.contact.floor)), atol=1e-5)
