"""The assembled regressor: its table of keys, its shapes at full size, and its behaviour at a tiny one."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.geometry import random_rotation, rotation_from_6d
from hoijax.nets import weights as convert
from hoijax.nets.scorehoi import (
    Hand4WholeConfig,
    RegressorConfig,
    ScoreHOIRegressor,
    camera_translation,
    pose_from_points,
    project_to_crop,
)
from hoijax.nets.scorehoi.hand4whole import MIRROR_6D

TINY = RegressorConfig(
    hand4whole=Hand4WholeConfig(
        crop=128, blocks=(1, 1, 1, 1), channels=4, box_width=4, joint_width=4, object_features=20, focal=200.0
    ),
    object_width=8,
    token=5,
    depth=1,
)
V, P = 7, 4
LAYER = {
    "cross_attn.in_proj_weight": (777, 259), "cross_attn.in_proj_bias": (777,),
    "cross_attn.out_proj.weight": (259, 259), "cross_attn.out_proj.bias": (259,),
    "linear1.weight": (259, 259), "linear1.bias": (259,), "linear2.weight": (259, 259), "linear2.bias": (259,),
    "norm.weight": (259,), "norm.bias": (259,), "norm2.weight": (259,), "norm2.bias": (259,),
}  # fmt: skip


def jit(function):
    """Compiled in a hurry: these programs run for milliseconds."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def batch_norm(key, width):
    return {f"{key}.{name}": (width,) for name in ("weight", "bias", "running_mean", "running_var")}


def affine(key, outputs, inputs, *more):
    return {f"{key}.weight": (outputs, inputs, *more), f"{key}.bias": (outputs,)}


def resnet_50(key, stem, inputs):
    table = {f"{key}.{stem}.weight": (64, inputs, 7, 7)} | batch_norm(f"{key}.bn1", 64)
    width = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        middle = 64 * 2**stage
        for i in range(blocks):
            start = f"{key}.layer{stage + 1}.{i}"
            sizes = ((middle, width, 1), (middle, middle, 3), (4 * middle, middle, 1))
            for k, (b, a, side) in enumerate(sizes, 1):
                table |= {f"{start}.conv{k}.weight": (b, a, side, side)} | batch_norm(f"{start}.bn{k}", b)
            if i == 0:
                table |= {f"{start}.downsample.0.weight": (4 * middle, width, 1, 1)}
                table |= batch_norm(f"{start}.downsample.1", 4 * middle)
            width = 4 * middle
    return table


def published_keys():
    """Spec 9.1, written out; without what the authors' file holds for nothing."""
    h = "hand4whole"
    table = resnet_50(f"{h}.backbone", "conv1_mask", 5) | affine(f"{h}.backbone.obj_linear", 64, 1216)
    table |= resnet_50(f"{h}.hand_roi_net.backbone", "conv1", 3)
    for k, inputs in ((0, 2248), (3, 256), (6, 256)):
        table |= {f"{h}.box_net.deconv.{k}.weight": (inputs, 256, 4, 4)}
        table |= batch_norm(f"{h}.box_net.deconv.{k + 1}", 256)
    table |= affine(f"{h}.box_net.bbox_center_out.0", 2, 256, 1, 1)
    for side in ("lhand", "rhand"):
        table |= affine(f"{h}.box_net.{side}_size.0", 256, 256) | affine(f"{h}.box_net.{side}_size.2", 2, 256)
    table |= affine(f"{h}.body_position_net.conv.0", 200, 2048, 1, 1)
    table |= affine(f"{h}.hand_position_net.conv.0", 160, 2048, 1, 1)
    for part, net in (("body", "body"), ("lhand", "body"), ("rhand", "body"), ("hand", "hand")):
        start = f"{h}.{net}_rotation_net.{part}_conv"
        table |= affine(f"{start}.0", 512, 2048, 1, 1) | batch_norm(f"{start}.1", 512)
    for head, outputs, inputs in (
        ("root_pose", 6, 16995),
        ("body_pose", 126, 16995),
        ("shape", 10, 2048),
        ("cam", 3, 2048),
    ):
        table |= affine(f"{h}.body_rotation_net.{head}_out.0", outputs, inputs)
    table |= affine(f"{h}.hand_rotation_net.hand_pose_out.0", 90, 10300)
    table |= affine("objregressor.obj_feat_out", 2048, 3264)
    table |= affine("objregressor.obj_pose_out", 6, 2048) | affine("objregressor.obj_trans_out", 3, 2048)
    stages = {"contactformer": ("CA_Transformer",), "crformer": ("SA_Transformer", "CA_Transformer", "Transformer")}
    for net, names in stages.items():
        for name in names:
            for side in ("human", "object"):
                for i in range(4):
                    table |= {f"{net}.{name}_{side}.{i}.{key}": shape for key, shape in LAYER.items()}
    for name in ("human_fc_in", "object_fc_in"):
        table |= affine(f"contactformer.{name}", 256, 2048)
    for name in ("fc_out_human", "fc_out_object", "fc_out_object_floor"):
        table |= affine(f"contactformer.{name}", 1, 259)
    return table | affine("crformer.fc_out_human", 3, 259) | affine("crformer.fc_out_object", 3, 259)


@pytest.fixture(scope="module")
def full():
    """The checkpoint's module without numbers."""
    return nnx.eval_shape(lambda: convert.find_checkpoint("scorehoi_regressor").make(nnx.Rngs(0)))


def test_published_table_of_keys_maps_one_to_one(full):
    shapes = {
        key: tuple(leaf.shape if axes is None else np.asarray(leaf.shape)[np.argsort(axes)])
        for key, (leaf, axes) in convert.torch_entries(full).items()
    }
    assert shapes == published_keys()


def arguments(config, batch, crop):
    size = config.hand4whole.object_features
    shapes = (batch, crop, crop, 5), (batch, size), (batch, P, 3)
    return [jax.random.uniform(jax.random.key(i), s, jnp.float32) for i, s in enumerate(shapes)]


def vertices_of(pose, betas):
    return pose[:, :V, :3] * 0.1 + jnp.broadcast_to(betas[:, None, :3], (pose.shape[0], V, 3)) * 0.1


@pytest.mark.parametrize("size", ["full", "small"])
def test_shapes_at_both_sizes(full, size):
    config = RegressorConfig() if size == "full" else RegressorConfig.small()
    net = full if size == "full" else nnx.eval_shape(lambda: ScoreHOIRegressor(config, nnx.Rngs(0)))
    cells, features = (8, 2048) if size == "full" else (4, 512)
    inputs = jax.eval_shape(lambda: arguments(config, 2, config.hand4whole.crop))
    graph, state = nnx.split(net)

    def run(state, *inputs):
        net = nnx.merge(graph, state)
        net.eval()
        return net(*inputs, vertices_of)

    out = jax.eval_shape(run, state, *inputs)
    body = out.estimate.body
    assert body.features.shape == (2, cells, cells, features)
    assert body.pose.shape == (2, 52, 6) and body.betas.shape == (2, 10) and body.camera.shape == (2, 3)
    assert body.joints.shape == (2, 65, 3) and body.hand_boxes.shape == (2, 2, 2, 2)
    assert out.contact.human.shape == (2, V) and out.contact.floor.shape == (2, P)
    assert out.refined_human_vertices.shape == (2, V, 3) and out.refined_object_points.shape == (2, P, 3)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(out))


@pytest.fixture(scope="module")
def tiny(random_module):
    net = random_module(lambda rngs: ScoreHOIRegressor(TINY, rngs))
    graph, state = nnx.split(net)

    return net, jit(lambda *inputs: nnx.merge(graph, state)(*inputs, vertices_of))


def test_samples_of_a_batch_do_not_see_each_other(tiny):
    _, run = tiny
    inputs = arguments(TINY, 3, 128)
    together = run(*inputs)
    chex.assert_tree_all_finite(together)
    other = run(*(jnp.roll(x, 1, axis=0) for x in inputs))
    chex.assert_trees_all_close(jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), together), other, atol=1e-4)


def test_black_images_empty_masks_and_far_objects_stay_finite(tiny):
    net, run = tiny
    image, features, points = arguments(TINY, 3, 128)
    chex.assert_tree_all_finite(run(jnp.zeros_like(image), features, points))
    chex.assert_tree_all_finite(run(jnp.ones_like(image), features, points))
    behind = jnp.asarray([[[0.0, 0.0, -50.0]] * P] * 3, jnp.float32)
    camera = jnp.asarray([[0.0, 0.0, 2.0]] * 3, jnp.float32)
    cells = jnp.ones((3, 2, 2, TINY.hand4whole.features), jnp.float32)
    contact = jit(net.contacts)(cells, camera, jnp.zeros((3, V, 3), jnp.float32), behind)
    chex.assert_tree_all_finite(contact)


def test_hands_are_read_where_their_boxes_are(tiny):
    net, _ = tiny
    hand4whole = net.hand4whole
    joints = jnp.asarray([[[0.0, 0.0, 3.0], [2.0, 2.0, 1.0]]], jnp.float32)
    box = jnp.asarray([[16.0, 0.0, 48.0, 64.0]], jnp.float32)
    got = hand4whole._in_body(joints, box)
    np.testing.assert_allclose(got[0], [[0.5, 0.0, 3.0], [1.5, 2.0, 1.0]], atol=1e-6)


def test_mirrored_left_hand_is_the_reflected_rotation(tiny):
    x = jax.random.normal(jax.random.key(0), (6,))
    mirror = np.diag([-1.0, 1.0, 1.0])
    want = mirror @ rotation_from_6d(x) @ mirror
    np.testing.assert_allclose(rotation_from_6d(x * jnp.asarray(MIRROR_6D)), want, atol=1e-12)
    config = dataclasses.replace(TINY, hand4whole=dataclasses.replace(TINY.hand4whole, mirror_left_hand=True))
    net, run = tiny
    flipped = nnx.eval_shape(lambda: ScoreHOIRegressor(config, nnx.Rngs(0)))
    flipped.eval()
    flipped = nnx.merge(nnx.graphdef(flipped), nnx.state(net))
    image, features, points = arguments(TINY, 3, 128)
    a, b = run(image, features, points).estimate.body.pose, jit(lambda *x: flipped.hand4whole(*x).pose)(image, features)
    np.testing.assert_allclose(
        a[:, 22:37] * jnp.asarray(MIRROR_6D, jnp.float32).reshape(1, 1, 6), b[:, 22:37], atol=1e-5
    )
    np.testing.assert_allclose(a[:, 37:], b[:, 37:], atol=1e-5)


def test_camera_and_projection():
    translation = camera_translation(jnp.asarray([0.1, -0.2, 0.0]))
    np.testing.assert_allclose(translation, [0.1, -0.2, 2500.0 / 256.0])
    place = project_to_crop(jnp.asarray([[0.0, 0.0, 0.0], [0.4, 0.2, 1.0]]), jnp.asarray([0.0, 0.0, 9.0]))
    np.testing.assert_allclose(place, [[0, 0], [0.4 / 10.0001 * 2500 / 256, 0.2 / 10.0001 * 2500 / 256]], rtol=1e-6)


def test_object_pose_from_refined_points():
    rng = np.random.default_rng(0)
    template = rng.normal(size=(10, 3)) + 0.3
    rotation = np.asarray(random_rotation(jax.random.key(0), dtype=jnp.float64))
    move = np.array([0.1, 0.2, 0.3])
    for scale in (1.0, 1.3):
        points = scale * template @ rotation.T + move
        pose, released = pose_from_points(template, points), pose_from_points(template, points, released=True)
        for p in (pose, released):
            np.testing.assert_allclose(p.rotation, rotation, atol=1e-9)
            np.testing.assert_array_equal(p.scale, 1.0)
        np.testing.assert_allclose(released.translation, move, atol=1e-9)
        moved = np.mean(template, 0) @ rotation.T
        np.testing.assert_allclose(pose.translation, move + (scale - 1) * moved, atol=1e-9)
