"""ScoreHOI's training losses: a perfect estimate costs nothing, and each label raises its own terms alone.

The perfect estimate is made from the truth by formulas written out here, not from the batch's labels, and its camera is
exact: the crop lies about the picture's principal point, so that one focal length holds for both.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import keypoint_names
from hoijax.diffusion import cosine_schedule
from hoijax.experiments.scorehoi.losses import noise_loss
from hoijax.experiments.scorehoi.made_up import MadeUp
from hoijax.experiments.scorehoi.samples import training_sample
from hoijax.experiments.scorehoi.stages import RegressorStage, Variables, layout_of
from hoijax.nets.scorehoi import ContactEstimate, InteractionEstimate
from hoijax.nets.scorehoi.hand4whole import BodyEstimate
from hoijax.systems.scorehoi.networks import BodyConfig

BODY = BodyConfig("test", 48)
QUICK = {"xla_backend_optimization_level": 0}
PIXELS, FOCAL = 128, 160.0  # of made-up pictures
SIDE = 1.3 * PIXELS  # of a crop about the whole picture
SURE = 20.0
"""Logit of a contact predictor without doubts: costs 2e-9 where it is right, itself where it is wrong."""
TERMS = ("contact", "vertices", "edges", "parameters", "joints", "hands")
BODY_POINTS = (
    "pelvis", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "neck", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_big_toe", "left_small_toe",
    "left_heel", "right_big_toe", "right_small_toe", "right_heel", "left_ear", "right_ear", "left_eye", "right_eye",
    "nose",
)  # fmt: skip


@pytest.fixture(scope="module")
def truths():
    """Two interactions whose masks fill the picture: their crops are centred on the camera's axis.

    What touches is drawn at random, so that no two labels are alike.
    """
    source, rng = MadeUp(layout_of("tiny", BODY), count=2), np.random.default_rng(0)
    whole = np.ones((PIXELS, PIXELS), bool)
    touched = {"body_contact": source.layout.model.num_vertices, "object_contact": 64, "object_floor": 64}
    return source.layout, [
        dataclasses.replace(source.truth(i), human=whole, **{k: rng.random(n) < 0.4 for k, n in touched.items()})
        for i in range(2)
    ]


def answer(truth, layout):
    """What a network without errors says of one truth: the fields of `InteractionEstimate`, in NumPy."""
    row = {name: i for i, name in enumerate(keypoint_names(layout.model))}
    pelvis = truth.keypoints[0]
    place = {n: FOCAL * truth.keypoints[i, :2] / truth.keypoints[i, 2] / SIDE for n, i in row.items()}
    depth = {n: truth.keypoints[i, 2] for n, i in row.items()}
    joints = [[*place[n], (depth[n] - depth["pelvis"]) / 4.4] for n in BODY_POINTS]
    boxes = []
    for side in ("left", "right"):
        names = [f"{side}_{f}{k}" for f in ("thumb", "index", "middle", "ring", "pinky") for k in ("1", "2", "3", "")]
        joints += [[*place[n], (depth[n] - depth[f"{side}_wrist"]) / 4.4] for n in names]
        xs, ys = np.transpose([place[n] for n in names])
        half = 2.0 * max(xs.max() - xs.min(), ys.max() - ys.min())
        middle = np.array([xs.max() + xs.min(), ys.max() + ys.min()]) / 2
        boxes.append([middle - half, middle + half])
    sixd = [[r[0, 0], r[0, 1], r[1, 0], r[1, 1], r[2, 0], r[2, 1]] for r in [*truth.rotations, truth.object_rotation]]
    return {
        "pose": sixd[:52], "betas": truth.betas[:10], "camera": pelvis, "joints": joints, "hand_boxes": boxes,
        "object_rotation": sixd[52], "object_translation": truth.object_translation - pelvis,
        "human": SURE * (2.0 * truth.body_contact[layout.ids] - 1), "object": SURE * (2.0 * truth.object_contact - 1),
        "floor": SURE * (2.0 * truth.object_floor - 1),
    }  # fmt: skip


class Knowing(nnx.Module):
    """A network that says what its parameters hold, whatever it is shown."""

    def __init__(self, answers, vertices, points):
        answers = answers | {"vertices": vertices, "points": points}
        self.answers = nnx.Dict({k: nnx.Param(jnp.asarray(v, jnp.float32)) for k, v in answers.items()})

    def estimate(self, image, object_numbers):
        names = ("pose", "betas", "camera", "joints", "hand_boxes")
        body = BodyEstimate(image[:, ::64, ::64], *(self.answers[n][...] for n in names))
        return InteractionEstimate(body, *(self.answers[n][...] for n in ("object_rotation", "object_translation")))

    def contacts(self, features, camera, human_vertices, object_points):
        count = len(features)
        assert count == len(camera) == len(human_vertices) == len(object_points)
        return ContactEstimate(*(self.answers[n][...][:count] for n in ("human", "object", "floor")), None, None)

    def refine(self, contact):
        return tuple(self.answers[n][...][: len(contact.human)] for n in ("vertices", "points"))


@dataclasses.dataclass
class Case:
    """Truths, their batch, parameters of the perfect network, its body's faces, and the compiled terms."""

    truths: list
    batch: dict
    parameters: dict
    faces: np.ndarray
    up: np.ndarray
    terms: object


@pytest.fixture(scope="module")
def case(truths):
    """Two samples, of which contact predictor and mesh refiner see the first."""
    layout, interactions = truths
    samples = [training_sample(t, layout) for t in interactions]
    batch = {name: np.stack([s[name] for s in samples]) for name in samples[0]}
    answers = [answer(t, layout) for t in interactions]
    answers = {name: np.stack([np.asarray(a[name]) for a in answers]) for name in answers[0]}
    stage = RegressorStage("tiny", BODY, share=0.5)
    focal = 256 * FOCAL / SIDE
    parts = dataclasses.replace(stage.config.hand4whole, focal=focal)
    stage.config = dataclasses.replace(stage.config, hand4whole=parts)
    # The refined surface: the vertices that the body's own picks, posed by body model and truth on the host.
    posed = [MadeUp(layout)._pose(np.float32(t.rotations), np.float32(t.betas)) for t in interactions]
    vertices = np.stack([np.asarray(v)[layout.ids] - np.asarray(k)[0] for v, k in posed])
    points = [t.points @ t.object_rotation.T + t.object_translation - t.keypoints[0] for t in interactions]
    network = Knowing(answers, vertices, np.float32(points))
    stage.graph, parameters, statistics = nnx.split(network, nnx.Param, nnx.BatchStat)

    @jax.jit
    def run(parameters, batch):
        total, (parts, _) = stage.loss(Variables(parameters, statistics), batch, jax.random.key(0))
        return parts | {"total": total}

    compiled = run.lower(parameters, batch).compile(QUICK)
    return Case(interactions, batch, parameters, np.asarray(stage.faces), np.asarray(stage.body.up), compiled)


def rises(case, *, batch=None, parameters=None):
    """By how much each term is above that of the perfect estimate."""
    got = case.terms(parameters or case.parameters, case.batch | (batch or {}))
    base = case.terms(case.parameters, case.batch)
    return {name: float(got[name]) - float(base[name]) for name in TERMS}


def wrong(case, name, change):
    """The network's parameters with one answer changed."""
    state = jax.tree.map(lambda x: x, case.parameters)
    state["answers"][name][...] = change(state["answers"][name][...])
    return state


def test_a_perfect_estimate_costs_nothing(case):
    got = case.terms(case.parameters, case.batch)
    for name in (*TERMS, "total"):
        assert abs(float(got[name])) < 1e-4, (name, float(got[name]))


def flipped(labels):
    """The first of each sample's labels turned over."""
    labels = labels.copy()
    labels[:, 0] = 1 - labels[:, 0]
    return labels


def moved(x, part, by):
    x = np.array(x)
    x[..., part] += by
    return x


def test_each_label_raises_its_own_terms_and_no_others(case):
    """And by what the formula says: a mean of absolute differences, the sum of three means of cross-entropies."""
    b = case.batch
    for name, count in (("body_contact", 48), ("object_contact", 64), ("object_floor", 64)):
        expect(rises(case, batch={name: flipped(b[name])}), contact=SURE / count)
    expect(rises(case, batch={"joints_2d": moved(b["joints_2d"], 1, 0.1)}), joints=0.05)
    expect(rises(case, batch={"positional": moved(b["positional"], 2, 0.3)}), joints=0.1)
    expect(rises(case, batch={"hand_boxes": moved(b["hand_boxes"], 0, 0.2)}), hands=0.1)
    # The template's points move the object in both, but not the refined points.
    expect(rises(case, batch={"points": b["points"] + np.float32(0.3)}), vertices=None)
    # The true state: its numbers, and what they place.
    expect(rises(case, batch={"state": moved(b["state"], slice(318, 321), 0.3)}), parameters=0.3, vertices=0.3)
    expect(rises(case, batch={"state": moved(b["state"], slice(312, 318), 0.1)}), parameters=0.1, vertices=None)
    shape = rises(case, batch={"state": moved(b["state"], slice(321, 331), 0.1)})
    expect(shape, parameters=0.1, vertices=None, edges=None, joints=None)
    root = rises(case, batch={"state": moved(b["state"], slice(0, 6), 0.2)})  # turned as a whole: edges stay
    expect(root, parameters=0.2 * 6 / 312, vertices=None, joints=None)
    elbow = rises(case, batch={"state": moved(b["state"], slice(6 * 18, 6 * 19), 0.3)})
    expect(elbow, parameters=0.3 * 6 / 312, vertices=None, edges=None, joints=None)


def expect(got, **wanted):
    """These terms rose, by so much where it is given; all others stayed."""
    for name in TERMS:
        if name not in wanted:
            assert abs(got[name]) < 2e-5, (name, got)
        elif wanted[name] is None:
            assert got[name] > 5e-5, (name, got)
        else:
            np.testing.assert_allclose(got[name], wanted[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_each_answer_of_the_network_is_held_to_its_label(case):
    for name, count in (("human", 48), ("object", 64), ("floor", 64)):
        turned = wrong(case, name, lambda x: x.at[:, 0].multiply(-1))
        expect(rises(case, parameters=turned), contact=SURE / count)
    expect(rises(case, parameters=wrong(case, "joints", lambda x: x + 0.1)), joints=0.1)
    expect(rises(case, parameters=wrong(case, "hand_boxes", lambda x: x - 0.1)), hands=0.1)
    expect(rises(case, parameters=wrong(case, "object_rotation", lambda x: x + 0.1)), parameters=0.1)
    expect(rises(case, parameters=wrong(case, "object_translation", lambda x: x + 0.1)), parameters=0.1)
    # Betas count in units of their range, and move the joints.
    expect(rises(case, parameters=wrong(case, "betas", lambda x: x + 0.3)), parameters=0.1, joints=None)
    expect(rises(case, parameters=wrong(case, "pose", lambda x: x.at[:, 18].add(0.3))),
           parameters=0.3 / 52, joints=None)  # fmt: skip
    # A camera a decimetre aside: each joint is seen that much aside as it is deep.
    aside = np.mean([FOCAL / SIDE * 0.1 / t.keypoints[:52, 2] for t in case.truths]) / 2
    expect(rises(case, parameters=wrong(case, "camera", lambda x: x.at[:, 0].add(0.1))), joints=aside)


def test_the_refined_surface_is_held_to_the_true_one_and_its_edges(case):
    """Shifted along one axis: a third of that; grown by a tenth: a tenth of the true edges."""
    true = np.einsum("vk,bkc->bvc", case.up, case.parameters["answers"]["vertices"][:1])
    lengths = [np.linalg.norm(true[:, case.faces[:, i]] - true[:, case.faces[:, j]], axis=-1)
               for i, j in ((0, 1), (1, 2), (2, 0))]  # fmt: skip
    by = jnp.asarray([0.3, 0, 0], jnp.float32)[None, None]
    shifted = rises(case, parameters=wrong(case, "vertices", lambda x: x + by))
    expect(shifted, vertices=0.1 * np.abs(case.up.sum(axis=1)).mean())
    grown = rises(case, parameters=wrong(case, "vertices", lambda x: 1.1 * x))
    expect(grown, vertices=0.1 * np.abs(true).mean(), edges=0.1 * np.mean(lengths))
    expect(rises(case, parameters=wrong(case, "points", lambda x: x + by)), vertices=0.1)


def test_the_share_learns_contact_and_surface_from_the_first_samples_alone(case):
    """Half of the batch here: contact predictor and mesh refiner cost as much as the rest, which learns from all."""
    for name in ("body_contact", "object_contact", "object_floor"):
        for sample, rise in ((0, {"contact": SURE}), (1, {})):
            labels = case.batch[name].copy()
            labels[sample] = 1 - labels[sample]
            expect(rises(case, batch={name: labels}), **rise)
    labels = case.batch["positional"].copy()
    labels[1] += 0.2
    expect(rises(case, batch={"positional": labels}), joints=0.1)


def test_the_noise_loss_is_nought_for_who_knows_the_noise():
    """Which the denoiser can tell from clean and noisy state; then the error's square, over the levels asked for."""
    schedule = cosine_schedule()
    x0 = np.float32(np.random.default_rng(0).uniform(-1, 1, (2000, 331)))
    seen = {}

    def knowing(x0, error=0.0):
        def denoise(x, t):
            kept = np.asarray(schedule.alphas_cumprod)[np.asarray(t, int)][:, None]
            seen["t"] = np.asarray(t, int)
            return jnp.asarray((np.asarray(x) - np.sqrt(kept) * x0) / np.sqrt(1 - kept) + error, jnp.float32)

        return denoise

    key = jax.random.key(0)
    assert noise_loss(schedule, knowing(x0), jnp.asarray(x0), key) < 1e-6
    assert seen["t"].min() < 10 and seen["t"].max() > 990 and abs(seen["t"].mean() - 499.5) < 25
    np.testing.assert_allclose(noise_loss(schedule, knowing(x0, 0.3), jnp.asarray(x0), key), 0.09, rtol=1e-3)
    # Another label than that which was noised.
    assert noise_loss(schedule, knowing(x0), jnp.asarray(x0 + np.float32(0.1)), key, 300) > 1e-3
    assert noise_loss(schedule, knowing(x0), jnp.asarray(x0), key, 40) < 1e-5
    assert seen["t"].min() == 0 and seen["t"].max() == 39
