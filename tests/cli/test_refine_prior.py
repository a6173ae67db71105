"""`hoijax refine --prior scorehoi`: the prior moves the estimate before the (fake) gradient refiner, and refusals."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import contact_regions, free_body
from hoijax.geometry import Mesh, RigidPose
from hoijax.interaction import make_solid_template, make_template
from hoijax.nets.scorehoi import PooledDenoiser, PooledDenoiserConfig
from hoijax.nets.weights import save_network, shipped_file
from hoijax.systems.scorehoi import compile_prior, prior_config, score_prior
from hoijax.systems.scorehoi.score_prior import load_prior, scale_template


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A prior that answers a little noise."""
    path = tmp_path_factory.mktemp("prior") / "prior.safetensors"
    config = PooledDenoiserConfig(width=32, depth=1, image_features=1, object_features=4)
    network = PooledDenoiser(config, nnx.Rngs(0))
    rng = np.random.default_rng(0)
    network.state.kernel[...] = jnp.asarray(0.1 * rng.normal(size=network.state.kernel.shape), jnp.float32)
    facts = {"kind": "scorehoi_prior", "levels": 250, "network": {"width": 32, "depth": 1, "features": 4}}
    save_network(path, network, facts)
    return path


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


@pytest.mark.slow
def test_the_prior_goes_before_the_refiner(refine, fake, weights, save, estimate, tmp_path, monkeypatch):
    # The fake has templates without a distance grid.
    monkeypatch.setattr(score_prior, "prior_config", lambda: prior_config(iterations=1, noise_level=40, step=20))
    # One program for all runs.
    monkeypatch.setattr(score_prior, "compile_prior", lambda network, config: compiled)
    compiled = compile_prior(load_prior(weights)[0], config=score_prior.prior_config())
    monkeypatch.setattr(
        "hoijax.jobs.objects.make_solid_template", lambda mesh, resolution: make_solid_template(mesh, resolution=12)
    )
    body = save("body.npz", estimate())
    options = ("--prior=scorehoi", f"--weights={weights}", "--contact=left_hand")
    code, _, error, calls = refine(body, *options)
    assert code == 0, error
    # Once from the prior's answer, once for the metrics of what was given.
    assert [call["config"].steps > 0 for call in calls] == [True, False]
    assert calls[0]["contacts"] == [("left_hand",)]
    # Body and object have found each other: only the stages that clear penetration are left.
    assert [stage.name for stage in calls[0]["config"].stages] == ["settle", "polish", "clear"]
    after, before = load(tmp_path / "out" / "refined.npz"), estimate()
    turned = np.abs(after["body_pose"] - before["body_pose"])
    assert np.sum(turned > 1e-3) > 30  # the fake turns one elbow
    # Shape and pelvis stay: the fake lifts both by a centimetre.
    np.testing.assert_array_equal(after["betas"], before["betas"])
    np.testing.assert_allclose(after["transl"] - before["transl"], fake.MOVE, atol=1e-5)
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["options"]["prior"] == "scorehoi"
    # The same again is finished; by gradients alone it is another result.
    assert refine(body, *options)[3] == []
    assert len(refine(body, "--contact=left_hand")[3]) == 1
    # What is frozen stays.
    code, _, _, _ = refine(body, *options, "--freeze=object,hands", out="held")
    held = load(tmp_path / "held" / "refined.npz")
    assert code == 0
    np.testing.assert_array_equal(held["left_hand_pose"], before["left_hand_pose"])


def test_wrong_combinations_are_refused(refine, save, estimate, tmp_path, weights):
    body = save("body.npz", estimate())

    def told(*options):
        code, _, error, calls = refine(body, *options)
        assert code == 2 and not calls and not (tmp_path / "out").exists()
        return error

    assert "--prior graft goes with --scene" in told("--prior=graft")
    assert "which network" in told(f"--weights={weights}")
    assert "cannot read weights" in told("--prior=scorehoi", f"--weights={body}")
    other = tmp_path / "other.safetensors"
    save_network(other, PooledDenoiser(PooledDenoiserConfig(width=8, depth=1), nnx.Rngs(0)), {"stage": 2})
    assert "holds no prior of ScoreHOI" in told("--prior=scorehoi", f"--weights={other}")


def test_parts_that_are_too_far_are_not_asked_for():
    """A box at the left hand is held, one a metre before the belly touches nothing."""
    prior = object.__new__(score_prior.ScorePrior)
    prior.model = free_body("test")
    vertices = np.asarray(prior.model.v_template, np.float32)
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) * 0.08
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                      [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)  # fmt: skip
    template = make_template(Mesh(corners, faces), resolution=12)
    hand = vertices[contact_regions(prior.model)["left_hand"]].mean(axis=0)

    def near(place):
        one = np.float32(1.0)
        return prior._near(vertices, template, RigidPose(np.eye(3, dtype=np.float32), np.float32(place), one))

    assert near(hand - [0, 0.12, 0]) == ("left_hand",)
    assert near([0.0, 0.0, 1.0]) == ()


def test_a_scaled_template_is_that_of_the_scaled_mesh():
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32) / 4
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6],
                      [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]], np.int32)  # fmt: skip
    once, twice = (make_template(Mesh(s * corners, faces), resolution=8) for s in (np.float32(1), np.float32(2)))
    got = scale_template(once, 2.0)
    np.testing.assert_allclose(got.points, twice.points, atol=1e-5)
    np.testing.assert_allclose(got.sdf.values, twice.sdf.values, atol=1e-5)
    np.testing.assert_allclose(got.sdf.spacing, twice.sdf.spacing, atol=1e-6)


def test_the_shipped_prior_says_what_it_was_trained_on():
    network, facts = load_prior()
    assert facts["states"]["scripted"] >= 10_000 and facts["body"] == "free" and facts["levels"] > 100
    assert network.config.width == facts["network"]["width"]
    for name in ("prior", "regressor", "denoiser"):
        assert shipped_file(f"scorehoi_{name}").stat().st_size < 10e6
