"""Can the heads say the labels? Ranges of the small regressor's outputs, from its own code, against SynthHOI's labels.

Where they cannot, the figure stands in docs/scorehoi.md ("What the small regressor cannot say"), and the test holds
page and code to each other: who repairs a head mends the page.
"""

import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.spatial.transform import Rotation

from hoijax.body_models import free_body
from hoijax.data.synth import SynthConfig, styles
from hoijax.data.synth.checks import body_mesh
from hoijax.data.synth.samples import body_fields, keypoint_places, object_points
from hoijax.data.synth.sampling import draw
from hoijax.experiments.scorehoi.samples import training_sample, truth_from_synth
from hoijax.nets.scorehoi import Hand4Whole, RegressorConfig, camera_translation, project_to_crop
from hoijax.nets.weights import abstract
from hoijax.systems.scorehoi.inputs import Layout

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "scorehoi.md"
COUNT, SIZE = 100, 256
PARTS = RegressorConfig.small().hand4whole
FEET = slice(14, 20)  # of the positional joints: toes and heels
ANKLES = slice(5, 7)


@pytest.fixture(scope="module")
def labels():
    """Labels of people and objects of SynthHOI's scripts before its cameras; masks hold their vertices."""
    layout = Layout(free_body("default"), np.arange(48), crop=8, geometry=4)
    samples = []
    for index in range(COUNT):
        start = draw(SynthConfig(), "train", index, 0)
        puppet, placed = start.start.puppet, start.start.placed
        vertices, joints = body_mesh(puppet.rotations, puppet.betas, puppet.translation)
        obj, points = placed.vertices(), object_points(start.category, start.object_seed)
        rng = np.random.default_rng(index)
        *camera, _ = styles.camera(rng, np.concatenate([vertices[::7], obj]), SIZE)
        masks = []
        for surface in (vertices, obj):
            mask = np.zeros((SIZE, SIZE), bool)
            column, row = np.clip(styles.project(surface, *camera)[0].astype(int), 0, SIZE - 1).T
            mask[row, column] = True
            masks.append(mask)
        keypoints = keypoint_places(vertices, joints)
        samples.append(training_sample(truth_from_synth({
            "image": np.zeros((SIZE, SIZE, 3), np.uint8), "human_mask": masks[0], "object_mask": masks[1],
            "body": body_fields(puppet.rotations, puppet.betas, puppet.translation), "T_camera_world": camera[1],
            "obj_rot": Rotation.from_matrix(placed.rotation).as_rotvec(), "obj_trans": placed.translation,
            "keypoints_3d": keypoints, "keypoints_2d": styles.project(keypoints, *camera)[0], "object_points": points,
            "body_contact": np.zeros(len(vertices), bool), "object_points_contact": np.zeros(64, bool),
            "object_points_floor": np.zeros(64, bool),
        }), layout) | {
            "joints": keypoints[:52] @ camera[1][:3, :3].T,
            "object": (points @ placed.rotation.T + placed.translation - joints[0]) @ camera[1][:3, :3].T,
        })  # fmt: skip
    return {name: np.stack([s[name] for s in samples]) for name in samples[0]}


def page():
    """The section of the page."""
    return re.search(r"## What the small regressor cannot say\n(.*?)\n## ", PAGE.read_text(), re.DOTALL)[1]


def per_cent(share):
    return f"{100 * share:.0f} %"


def said(pattern):
    """The figures of a sentence of the page."""
    found = re.search(pattern, " ".join(page().split()))
    assert found, f"{PAGE.name} does not say: {pattern}"
    return [float(x) for x in found.groups()]


def test_cameras_stand_farther_than_the_head_can_say(labels):
    """The camera that shows each sample's joints where they are, by least squares, against the head's whole range."""
    needed = []
    for joints, places in zip(labels["joints"] - labels["joints"][:, :1], labels["joints_2d"]):
        k = PARTS.focal / 256
        rows, right = np.zeros((104, 3)), np.zeros(104)
        for axis in (0, 1):
            rows[axis::2, axis], rows[axis::2, 2] = k, -places[:, axis]
            right[axis::2] = places[:, axis] * joints[:, 2] - k * joints[:, axis]
        needed.append(np.linalg.lstsq(rows, right, rcond=None)[0])
    seen = project_to_crop(labels["joints"] - labels["joints"][:, :1], np.asarray(needed), focal=PARTS.focal)
    # A far camera shows them within a few hundredths of the crop of where a near one does.
    assert np.median(np.abs(np.asarray(seen) - labels["joints_2d"])) < 0.02
    depth = np.asarray(needed)[:, 2]
    nearest, farthest = (
        float(camera_translation(jnp.asarray([0, 0, raw]), focal=PARTS.focal)[2]) for raw in (-1e3, 1e3)
    )
    assert nearest < depth.min()
    limit, share = said(r"depth of the camera ends at ([\d.]+) m.*?(\d+) % of")
    np.testing.assert_allclose(farthest, limit, atol=0.005)
    assert abs(100 * np.mean(depth > farthest) - share) < 12, np.mean(depth > farthest)


def test_labels_are_of_the_cameras_frame(labels):
    """Body and object of a state, posed again: where SynthHOI's own points are before the camera, from the pelvis."""
    for i in range(6):
        six = labels["state"][i, :318].reshape(53, 3, 2).astype(np.float64)
        rotations = np.stack([six[..., 0], six[..., 1], np.cross(six[..., 0], six[..., 1])], axis=-1)
        joints = body_mesh(rotations[:52], 3.0 * labels["state"][i, 321:], np.zeros(3))[1]
        np.testing.assert_allclose(joints - joints[:1], labels["joints"][i] - labels["joints"][i, :1], atol=2e-4)
        obj = labels["points"][i] @ rotations[52].T + labels["state"][i, 318:321]
        np.testing.assert_allclose(obj, labels["object"][i], atol=1e-4)


class Corners(nnx.Module):
    """A feature map that is hot in its first cell for the first sample, in its last for the second."""

    def __init__(self, channels):
        self.channels = channels

    def __call__(self, image, numbers=None):
        n = image.shape[1] // 32
        features = jnp.zeros((image.shape[0], n, n, self.channels), jnp.float32)
        return features.at[::2, 0, 0, 0].set(1.0).at[1::2, n - 1, n - 1, 1].set(1.0)


@pytest.fixture(scope="module")
def reach():
    """What the whole module says of joints and boxes when its heatmaps are sure of their first and last cells."""
    net = abstract(lambda rngs: Hand4Whole(PARTS, rngs))
    net.eval()
    net.backbone, net.hand_roi_net.backbone = Corners(PARTS.features), Corners(PARTS.features)
    for position, count in ((net.body_position_net, 25), (net.hand_position_net, 20)):
        kernel = np.zeros((1, 1, PARTS.features, count, PARTS.depth), np.float32)
        kernel[..., 0, :, 0] = kernel[..., 1, :, -1] = 1e4
        position.conv[0].kernel[...] = jnp.asarray(kernel.reshape(1, 1, PARTS.features, -1))
    for side in (net.box_net.lhand_size, net.box_net.rhand_size):
        side["2"].bias[...] = jnp.ones(2, jnp.float32)
    graph, state = nnx.split(net)
    run = jax.jit(lambda s, *x: nnx.merge(graph, s)(*x), compiler_options={"xla_backend_optimization_level": 0})
    zeros = np.zeros((2, PARTS.crop, PARTS.crop, 5), np.float32), np.zeros((2, PARTS.object_features), np.float32)
    body = run(state, *zeros)
    return np.asarray(body.joints), np.asarray(body.hand_boxes)


def test_joints_lie_deeper_in_the_crop_than_heatmaps_of_few_cells_reach(reach, labels):
    low, high = reach[0][:, :25]
    np.testing.assert_allclose(low, -0.5, atol=1e-5)
    places = labels["positional"][:, :25]
    # Depth and the near borders can be said of every joint.
    assert np.all(np.abs(places[..., 2]) < high[:, 2]) and np.mean(places[..., :2] > -0.5) > 0.99
    end, ankles, feet = said(r"first ([\d.]+) of the crop.*?(\d+) % of the ankles.*?(\d+) % of toes and heels")
    np.testing.assert_allclose(high[:, :2] + 0.5, end, atol=1e-5)
    beyond = (places[..., :2] > high[:, :2]).any(axis=-1)
    assert abs(100 * beyond[:, ANKLES].mean() - ankles) < 15, beyond[:, ANKLES].mean()
    assert abs(100 * beyond[:, FEET].mean() - feet) < 15, beyond[:, FEET].mean()
    # The published network's eight cells reach seven eighths, which few joints lie beyond.
    assert (places[..., :2] > 7 / 8 - 0.5).any(axis=-1).mean() < 0.1


def test_half_of_each_hands_box_cannot_be_pointed_at(reach, labels):
    """Of right hands the half behind the middle, of left ones, seen in a mirror, the half before it."""
    joints, boxes = reach
    spans = []
    for hand, part in ((0, slice(25, 45)), (1, slice(45, 65))):
        corner, side = boxes[:, None, hand, 0], boxes[:, None, hand, 1] - boxes[:, None, hand, 0]
        spans.append(np.sort(((joints[:, part, :2] - corner) / side).mean(axis=1)[:, 0]))
    left, right = spans
    share = said(r"([\d.]+) of the width of a hand's box")[0]
    np.testing.assert_allclose([np.ptp(left), np.ptp(right)], share, atol=0.01)
    np.testing.assert_allclose([left[1], right[0]], [1 - 1 / 64, 0.0], atol=0.01)
    # Boxes are four times as large as the hand, which lies in their middle: half of it is on the other side.
    places = labels["positional"][:, 45:, 0]
    corner, side = labels["hand_boxes"][:, 1, 0, 0], np.ptp(labels["hand_boxes"][:, 1, :, 0], axis=-1)
    within = (places - corner[:, None]) / side[:, None]
    assert within.min() > 0.37 and within.max() < 0.63
    assert 0.3 < np.mean(within > right[1]) < 0.7


def test_everything_else_can_be_said(reach, labels):
    """Shape within the range that states are normalised by, hand boxes within the picture, hands' depth in theirs."""
    state = labels["state"]
    assert np.all(np.abs(state[:, 321:]) <= 1) and np.all(np.isfinite(state))
    assert np.abs(state[:, 318:321]).max() < 5  # metres between pelvis and object
    low, high = reach[0][:, 25:, 2].min(), reach[0][:, 25:, 2].max()
    depth = labels["positional"][:, 25:, 2]
    assert low < depth.min() and depth.max() < high
    centres = labels["hand_boxes"].mean(axis=2)
    # The box net's soft-argmax is over eight times as many cells.
    assert np.mean((centres > -0.5) & (centres < 0.5 - 1 / (8 * PARTS.cells))) > 0.97
