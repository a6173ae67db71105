"""Registration of SMPL, SMPL-H and SMPL-X: files with the official keys and human shape, nothing of theirs in them."""

import functools

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hoijax.body_models import JOINT_NAMES, PARENTS, BodyParams, free_body, load, pose_body_compiled
from hoijax.geometry import cutting
from hoijax.optim.fitting.prior import pose_bank
from hoijax.optim.fitting.surface import SurfaceFitConfig, prepare_surface_body
from hoijax.systems.hoi3dgen import registration

SEVEN = SurfaceFitConfig(pose=False, steps=(6, 12), kept=(2, 1))
WHOLE = SurfaceFitConfig(yaws=4, lying=False, bent=0.0, kept=(2, 1), steps=(10, 14))
SHAPES = {"smpl": 10, "smplh": 16, "smplx": 20}  # SMPL-X: 10 of shape, 10 of expression
KINDS = tuple(SHAPES)
_FACE = {"jaw": (0.0, -0.04, 0.06), "left_eye_smplhf": (0.03, 0.02, 0.08), "right_eye_smplhf": (-0.03, 0.02, 0.08)}


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


def tables(kind):
    """What a file of a kind holds, from the free body: its skin, joints that are means of vertices, correctives."""
    source, names = free_body("test"), JOINT_NAMES[kind]
    template, known = np.asarray(source.v_template, np.float64), source.joint_names

    def row(name):
        if name in _FACE:
            return known.index("head")
        return known.index(f"{name.split('_')[0]}_middle1" if name.endswith("_hand") else name)

    weights = np.zeros((len(template), len(names)))
    for joint, name in enumerate(known):
        owner = name if name in names else f"{name.split('_')[0]}_hand"  # SMPL's hands are of one piece
        weights[:, names.index(owner)] += np.asarray(source.skin_weights)[:, joint]
    regressor = np.zeros((len(names), len(template)))
    for joint, name in enumerate(names):
        at = np.asarray(source.joint_template)[row(name)] + _FACE.get(name, (0, 0, 0))
        near = np.argsort(np.linalg.norm(template - at, axis=1))[:40]
        system = np.concatenate([template[near].T, np.ones((1, 40))])
        regressor[joint, near] = np.linalg.lstsq(system, np.append(at, 1.0), rcond=None)[0]
    rng, count = np.random.default_rng(3), SHAPES[kind]
    shapes = 1e-3 * rng.normal(size=(len(template), 3, count))
    own = np.asarray(source.shape_dirs)[..., :10]
    shapes[..., : own.shape[-1]] = own
    result = {
        "v_template": template, "shapedirs": shapes, "J_regressor": regressor, "weights": weights,
        "posedirs": 2e-4 * rng.normal(size=(len(template), 3, 9 * (len(names) - 1))),
        "kintree_table": np.stack([np.array(PARENTS[kind]) % 2**32, np.arange(len(names))]).astype(np.uint32),
        "f": np.asarray(source.faces, np.uint32),
    }  # fmt: skip
    if kind != "smpl":
        for side in "lr":
            result |= {f"hands_mean{side}": 0.1 * rng.normal(size=45), f"hands_components{side}": np.eye(45)}
    return result


@pytest.fixture(scope="module")
def person(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")

    @functools.cache
    def make(kind):
        """A loaded model, a body of it that kneels, and the person's surface, 0.8 times as large."""
        np.savez(folder / f"{kind}.npz", **tables(kind))
        model = load(folder / f"{kind}.npz", kind=kind)
        vectors = pose_bank(model)[4].copy()
        vectors[0] = (0, 1.7, 0)
        betas = np.zeros(model.num_betas, np.float32)
        betas[:2] = (1.2, -0.8)
        params = BodyParams(
            Rotation.from_rotvec(vectors).as_matrix().astype(np.float32), betas, np.zeros(3, np.float32)
        )
        true = 0.8 * np.asarray(pose_body_compiled(model, params).vertices) + np.float32([0.3, -0.2, 0.5])
        return model, params, true, cutting.close_holes(true, np.asarray(model.faces))

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_pose_and_shape_of_each_kind_are_found(person, kind):
    model, _, true, part = person(kind)
    assert model.kind == kind
    found = registration.register(part, model, config=WHOLE, quick=True)
    assert found.vertices.shape == true.shape
    assert np.linalg.norm(found.vertices - true, axis=1).mean() < 0.8 * 0.02
    assert found.distances.surface < 0.8 and found.distances.points < 2.0
    betas = np.asarray(found.fit.params.betas)
    assert betas.shape == (SHAPES[kind],)
    if kind == "smplx":
        np.testing.assert_array_equal(betas[10:], 0)  # nothing of a surface tells an expression
    # Fingers and face keep the prior's pose.
    still = [i for i, name in enumerate(model.joint_names) if name[-1] in "123" and "spine" not in name]
    prior = Rotation.from_rotvec(np.asarray(prepare_surface_body(model).prior.mean)[still]) if still else None
    if prior is not None:
        turned = Rotation.from_matrix(np.asarray(found.fit.params.rotations)[still])
        assert (prior.inv() * turned).magnitude().max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_seven_unknowns_keep_pose_and_shape_of_each_kind(person, kind):
    model, params, true, part = person(kind)
    tilt = Rotation.from_euler("xyz", [4, 25, -3], degrees=True).as_matrix().astype(np.float32)
    start = params.replace(rotations=np.concatenate([(tilt @ params.rotations[0])[None], params.rotations[1:]]))
    found = registration.register(part, model, initial=start, config=SEVEN, quick=True)
    np.testing.assert_allclose(np.asarray(found.fit.params.betas), params.betas, atol=1e-6)
    np.testing.assert_allclose(
        np.asarray(found.fit.params.rotations)[1:22], np.asarray(params.rotations)[1:22], atol=1e-5
    )
    assert np.linalg.norm(found.vertices - true, axis=1).mean() < 0.005
    assert float(found.fit.scale) == pytest.approx(0.8, rel=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_the_release_aligns_each_kind(person, kind):
    model, params, true, _ = person(kind)
    own = np.asarray(pose_body_compiled(model, params).vertices)
    found = registration.register_released(own, true, steps=30)
    assert np.linalg.norm(found.vertices - true, axis=1).mean() < 0.02
