"""ScoreHOI's whole first stage and its denoiser against what the authors' own code answers, in a small form.

The golden files lie beside this test (`golden/make.py` says how they were made), so every checkout runs it; the modules
one by one, at their full size, are in test_scorehoi_golden.py.
"""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax import diffusion
from hoijax.geometry import transform_points
from hoijax.nets import weights as convert
from hoijax.nets.scorehoi import (
    Hand4WholeConfig,
    RegressorConfig,
    ReleasedDenoiser,
    ReleasedDenoiserConfig,
    ScoreHOIRegressor,
    fold,
    pose_from_points,
)
from hoijax.nets.scorehoi.transformers import UNUSED

QUICK = {"xla_backend_optimization_level": 0}
FOLDER = pathlib.Path(__file__).parent / "golden"
_spec = importlib.util.spec_from_file_location("golden_recipe", FOLDER / "recipe.py")
recipe = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(recipe)


def read(name, build, ignore=()):
    """The arrays of a golden file, and the module that made them with the same weights, as graph and state."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as data:
        arrays = dict(data)
    seed, keys = int(arrays.pop("seed")), [line.split(" ") for line in str(arrays.pop("keys")).splitlines()]
    shapes = {key: tuple(int(n) for n in shape.split(",") if n) for key, shape in keys}
    state_dict = {key: recipe.weight(key, shape, seed) for key, shape in shapes.items()}
    module = convert.abstract(build)
    convert.load_state_dict(module, state_dict, ignore=ignore)
    module.eval()
    return arrays, module


@pytest.fixture(scope="module")
def first_stage():
    """What the authors answer, the network, and what it answers."""
    parts = Hand4WholeConfig(crop=recipe.CROP, blocks=(1, 1, 1, 1), focal=recipe.FOCAL * 256 / recipe.BODY)
    config = RegressorConfig(hand4whole=parts)
    want, network = read("first_stage", lambda rngs: ScoreHOIRegressor(config, rngs), UNUSED)
    graph, state = nnx.split(network)

    def vertices_of(pose, betas):
        return 0.2 * pose[:, : recipe.VERTICES, :3] + 0.1 * betas[:, None, :3].repeat(recipe.VERTICES, 1)

    run = jax.jit(lambda state, *inputs: nnx.merge(graph, state)(*inputs, vertices_of), compiler_options=QUICK)

    inputs = recipe.first_stage_inputs()
    image = np.ascontiguousarray(inputs["image"].transpose(0, 2, 3, 1))
    return want, inputs, run(state, image, inputs["numbers"], inputs["points"])


@pytest.mark.slow
def test_the_first_stage_answers_what_the_authors_answers(first_stage):
    want, inputs, got = first_stage
    body, estimate, contact = got.estimate.body, got.estimate, got.contact.probabilities()
    for name, value, shape in (
        ("features", np.transpose(body.features, (0, 3, 1, 2))[:, :: recipe.CHANNELS], (2, 64, 4, 4)),
        ("hand_boxes", np.reshape(body.hand_boxes, (2, 4, 2)), (2, 4, 2)),
        ("joints", body.joints, (2, 65, 3)),
        ("pose", body.pose, (2, 52, 6)),
        ("betas", body.betas, (2, 10)),
        ("camera", body.camera, (2, 3)),
        ("object_rotation", estimate.object_rotation[:, None], (2, 1, 6)),
        ("object_translation", estimate.object_translation, (2, 3)),
        ("object_points", got.object_points, (2, 64, 3)),
        ("body_contact", contact.body, (2, recipe.VERTICES)),
        ("object_contact", contact.object, (2, 64)),
        ("object_floor", contact.floor, (2, 64)),
        ("refined_vertices", got.refined_human_vertices, (2, recipe.VERTICES, 3)),
    ):
        assert value.shape == shape, name
        np.testing.assert_allclose(value, want[name], atol=2e-4, err_msg=name)
    # Both sides of the threshold are there: the refiner masks some tokens and not others.
    for name in ("body_contact", "object_contact"):
        assert 0.1 < np.mean(want[name] > 0.5) < 0.9
    pose = pose_from_points(inputs["points"], got.refined_object_points, released=True)
    np.testing.assert_allclose(pose.rotation, want["refined_rotation"], atol=2e-3)
    np.testing.assert_allclose(pose.translation, want["refined_translation"], atol=2e-3)
    np.testing.assert_allclose(
        transform_points(estimate.object_pose(), inputs["points"]), want["object_points"], atol=2e-4
    )


def test_the_denoiser_and_its_folded_form_answer_what_the_authors_answers():
    sizes = ReleasedDenoiserConfig(width=recipe.WIDTH, image_features=recipe.WIDTH, geometry_width=2 * recipe.WIDTH)
    want, network = read("denoiser", lambda rngs: ReleasedDenoiser(sizes, rngs))
    inputs = recipe.denoiser_inputs()
    for net in (network, fold(network)):
        graph, state = nnx.split(net)
        run = jax.jit(lambda state, x, t, graph=graph: nnx.merge(graph, state)(x, t), compiler_options=QUICK)
        got = run(state, inputs["x"], inputs["t"])
        np.testing.assert_allclose(got, want["noise"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(diffusion.cosine_schedule().alphas_cumprod, want["alphas_cumprod"], atol=1e-6)
