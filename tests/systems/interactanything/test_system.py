"""From a sentence to candidates: frozen numbers, ranks, affordance, the same again."""

import dataclasses

import jax
import numpy as np
import pytest
import trimesh
from flax import nnx

from hoijax.body_models import BodyParams, free_body, named_pose
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.interaction import make_template
from hoijax.nets import interactanything as nets
from hoijax.optim.gradient import Langevin, Sizes
from hoijax.systems.interactanything import (
    OptimiseConfig,
    SynthesisConfig,
    equations,
    given_starts,
    prepare,
    prior,
    rank,
    run,
    stages,
    system,
)
from hoijax.systems.interactanything.physics import Physics
from hoijax.systems.interactanything.relations import reason
from hoijax.systems.interactanything.starts import Thing

CONFIG = SynthesisConfig(
    count=2,
    draws=2,
    optimise=dataclasses.replace(OptimiseConfig(tries=0, sizes=Sizes(10, 96, 16, 64))).scaled(0.3),
)


@pytest.fixture(scope="module")
def stool():
    made = trimesh.creation.box((0.42, 0.45, 0.4))
    mesh = Mesh(np.asarray(made.vertices, np.float32), np.asarray(made.faces))
    return prepare(free_body("test"), make_template(mesh, resolution=24), reason("A person sits on the stool", mesh))


@pytest.fixture(scope="module")
def made(stool):
    """The result, and what went into and came out of both stages."""
    seen, told = [], []
    own = stages.refine_batch

    def watched(model, params, template, pose, *args, **how):
        out = own(model, params, template, pose, *args, **how)
        seen.append((params, pose, out))
        return out

    stages.refine_batch = watched
    try:
        result = run(stool, CONFIG, watch=lambda share, text: told.append((share, text)))
    finally:
        stages.refine_batch = own
    return result, seen, told


def test_the_person_is_frozen_first_and_then_the_object_bit_for_bit(made):
    _, ((params, pose, placed), (params2, pose2, fine)), _ = made
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), placed.params, jax.tree.map(np.asarray, params))
    assert all(jax.tree.leaves(same))
    assert not np.array_equal(placed.pose.translation, pose.translation)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: np.array_equal(a, b), fine.pose, placed.pose)))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: np.array_equal(a, b), pose2, placed.pose)))
    assert np.array_equal(fine.params.betas, params.betas)
    assert not np.array_equal(fine.params.rotations, params2.rotations)
    assert (np.asarray(fine.pose.scale) == 1).all()


def test_what_stands_neither_turns_nor_rises(made):
    _, ((_, pose, placed), _), _ = made
    assert np.array_equal(placed.pose.rotation, np.asarray(pose.rotation))
    np.testing.assert_allclose(placed.pose.translation[:, 1], np.asarray(pose.translation)[:, 1], atol=1e-7)
    assert not np.allclose(placed.pose.translation[:, [0, 2]], np.asarray(pose.translation)[:, [0, 2]], atol=1e-4)


def test_the_papers_terms_and_langevin_chains_freeze_the_same_and_bring_the_parts_near(stool):
    optimise = dataclasses.replace(
        CONFIG.optimise, terms="paper", closure="literal", langevin=Langevin(temperature=0.1)
    )
    result = run(stool, dataclasses.replace(CONFIG, optimise=optimise))
    for c in result.candidates:
        assert np.array_equal(c.params.betas, c.start.betas) and float(c.pose.scale) == 1
        assert np.array_equal(np.asarray(c.pose.rotation), c.start.object_rotation)
        assert not np.array_equal(c.params.rotations, c.start.rotations)
        assert c.contact["seat"] < max(0.02, c.before["contact"]["seat"])
    with pytest.raises(InputError, match="terms is one of"):
        dataclasses.replace(optimise, terms="prose")
    with pytest.raises(InputError, match="closure is one of"):
        dataclasses.replace(optimise, closure="form")
    with pytest.raises(InputError, match="penetration is one of grid, cone"):
        dataclasses.replace(optimise, penetration="pyramid")


def test_weights_of_the_stages_are_those_of_the_equations():
    sixth = equations.stage_weights("global", "paper", "literal", True)
    assert sixth.literal_closure == 0 and sixth.ground > 0 and sixth.interaction > 0 and sixth.normals > 0
    assert equations.stage_weights("global", "paper", "none", False).ground == 0
    eighth = equations.stage_weights("fine", "paper", "literal", True)
    assert eighth.literal_closure > 0 and eighth.wrench_closure == 0 and eighth.penetration > 0 and eighth.normals == 0
    beside = equations.stage_weights("fine", "house", "wrench", True)
    assert beside.wrench_closure > 0 and beside.interaction == beside.penetration == beside.ground == 0


def test_targets_of_the_equations_are_the_contact_areas(stool):
    maps = {"seat": np.asarray(stool.template.mesh.vertices)[:, 1] > 0}
    maps = {"seat": maps["seat"] / maps["seat"].sum()}
    bare = equations.equation_targets(stool.thing.mesh, stool.relations, [{}, {}], maps)
    assert bare.points.shape[:2] == (2, 1) and np.allclose(bare.affordance.sum(axis=2), 1)
    np.testing.assert_allclose(bare.centre[0], 0, atol=1e-6)
    np.testing.assert_allclose(bare.radius, np.linalg.norm([0.42, 0.45, 0.4]) / 2, rtol=1e-5)
    assert np.all(bare.grasps == 0)
    used = bare.points[bare.affordance > 0]
    assert used[:, 1].min() > -0.3 and np.average(bare.points[0, 0, :, 1], weights=bare.affordance[0, 0]) > 0
    assert bare.cones is None
    cones = equations.equation_targets(stool.thing.mesh, stool.relations, [{}, {}], maps, "cone").cones
    assert cones.apex.shape == (2, 12, 3)  # of a box: two triangles a face, whose circles are about its middle
    heights = np.sort(np.linalg.norm(cones.apex[0], axis=1))
    np.testing.assert_allclose(heights, np.repeat([0.2, 0.21, 0.225], 4), atol=1e-5)
    none = equations.equation_targets(stool.thing.mesh, stool.relations, [{}], {})
    assert np.all(none.affordance == 0)


def test_who_lies_touches_with_the_back_of_the_head_which_the_prior_knows_as_a_head():
    made = trimesh.creation.box((1.0, 0.5, 2.1))
    mesh = Mesh(np.asarray(made.vertices, np.float32), np.asarray(made.faces))
    said = reason("A person lies on the bed", mesh)
    used = system.on_the_back(said)
    assert said.body_parts == ("back", "seat", "head") and used.body_parts == ("back", "seat", "back_of_head")
    assert used.contacts[2].places == said.contacts[2].places
    own, theirs = (prior.condition_of(r, Thing.of(mesh)) for r in (said, used))
    np.testing.assert_array_equal(own.part, theirs.part)
    sits = reason("A person sits on the bed", mesh)
    assert system.on_the_back(sits) is sits


def test_a_network_narrows_the_places(stool, tmp_path):
    bare = dataclasses.replace(CONFIG, refine=False)
    path = tmp_path / "net.safetensors"
    network = nets.Model(nets.Config(width=8, blocks=1, condition=4), nnx.Rngs(0))
    kernel = network.logit.kernel
    kernel[...] = kernel[...] + 1.0  # else it would say one half everywhere
    nets.save(path, network)
    known, learned = run(stool, bare), run(stool, dataclasses.replace(bare, affordance=str(path)))
    assert abs(learned.affordance["seat"].sum() - 1) < 1e-6
    assert not np.allclose(learned.affordance["seat"], known.affordance["seat"], atol=1e-4)
    inner, outer = ({tuple(p) for p in r.regions["seat"].points} for r in (learned, known))
    assert inner < outer and len(inner) <= len(outer) // 2 + 1
    with pytest.raises(InputError, match="nobody.safetensors"):
        run(stool, dataclasses.replace(bare, affordance="nobody.safetensors"))


def test_who_sits_touches_the_seat_and_the_stool_stands(made):
    result, _, told = made
    assert len(result.candidates) == 2 and result.candidates[0].score >= result.candidates[1].score
    best = result.candidates[0]
    assert set(best.contact) == {"seat"} and best.contact["seat"] < 0.02 and best.max_penetration < 0.02
    assert best.before["contact"].keys() == best.contact.keys()
    world = np.asarray(best.start.object_rotation)
    bottom = -0.225 + float(best.pose.translation[1])
    assert abs(bottom) < 0.02 and abs(np.asarray(best.pose.rotation)[1, 1] - 1) < 1e-3 and world.shape == (3, 3)
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1


def test_affordance_marks_the_top(made, stool):
    result, _, _ = made
    weights = result.affordance["seat"]
    assert abs(weights.sum() - 1) < 1e-6
    top = np.asarray(stool.template.mesh.vertices)[:, 1] > 0
    assert weights[top].mean() > 2 * weights[~top].mean()
    region = result.regions["seat"]
    assert region.points[:, 1].min() > 0.15


def test_the_same_again(made, stool):
    again = run(stool, CONFIG)
    for a, b in zip(made[0].candidates, again.candidates):
        np.testing.assert_array_equal(a.body, b.body)
        assert a.score == b.score


def test_without_refinement_and_affordance_the_starts_come_out(stool):
    bare = run(stool, dataclasses.replace(CONFIG, refine=False, use_affordance=False))
    for c in bare.candidates:
        np.testing.assert_allclose(c.params.rotations, c.start.rotations, atol=1e-6)
        np.testing.assert_allclose(c.pose.translation, c.start.object_translation, atol=1e-6)
    assert not bare.regions or bare.regions.keys() == {"seat"}


def test_physics_ranks(made):
    result, _, _ = made
    fails = Physics(False, 0.4, 0.0, False, None, "support")
    holds = Physics(True, 0.01, 0.0, True, 0.1, "support")
    ranked = rank(result.candidates, [fails, holds])
    assert ranked[0][1] is holds and "holds in physics" in ranked[0][0].reason
    assert [c.score for c, _ in ranked] == sorted((c.score for c, _ in ranked), reverse=True)
    assert system.score_of(result.candidates[0], holds)[0] > system.score_of(result.candidates[0])[0]


def test_a_given_pose_gets_the_object_under_it(stool):
    params = BodyParams.from_axis_angle(stool.model, **named_pose("sit"))
    starts = given_starts(stool, jax.tree.map(lambda x: np.asarray(x, np.float32), params), 3, 0)
    assert len(starts) == 3 and len({s.object_translation.tobytes() for s in starts}) == 3
    for s in starts:
        np.testing.assert_array_equal(s.rotations, np.asarray(params.rotations, np.float32))
    vertices = system._pose(stool.model, starts).vertices[0]
    from hoijax.body_models import contact_regions

    seat = vertices[contact_regions(stool.model)["seat"]]
    assert abs(seat[:, 1].min() - 0.45) < 0.02


def test_a_mesh_about_another_origin_and_a_model_that_says_no_size_change_nothing(stool):
    params = jax.tree.map(
        lambda x: np.asarray(x, np.float32), BodyParams.from_axis_angle(stool.model, **named_pose("sit"))
    )
    moved = Mesh(np.asarray(stool.thing.mesh.vertices) + np.float32([2, 0, 1]), stool.thing.mesh.faces)
    relations = reason("A person sits on the stool", moved)
    relations = dataclasses.replace(relations, reasoner="somebody", size_m=None)
    away = dataclasses.replace(stool, thing=Thing.of(moved), relations=relations)
    for here, there in zip(*(given_starts(prepared, params, 3, 0) for prepared in (stool, away))):
        np.testing.assert_allclose(there.translation, here.translation, atol=1e-5)
        back = there.object_translation + there.object_rotation @ np.array([2, 0, 1])
        np.testing.assert_allclose(back, here.object_translation, atol=1e-5)


def test_other_joints_are_refused(stool):
    with pytest.raises(InputError, match="52 joints"):
        prepare(
            stool.model.replace(parents=stool.model.parents[:24], joint_names=stool.model.joint_names[:24]),
            stool.template,
            stool.relations,
        )
