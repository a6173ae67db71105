"""What is accepted: made wrong on purpose, an interaction fails the check that is about it."""

import dataclasses

import numpy as np
import pytest

from hoijax.data.objects import make_object
from hoijax.data.synth import checks
from hoijax.data.synth.actions import ACTIONS
from hoijax.data.synth.rig import Puppet
from hoijax.data.synth.sampling import Candidate
from hoijax.data.synth.solver import SolvedCandidate
from hoijax.data.synth.start import ScriptedStart, stance, stand_on_floor


@pytest.fixture(scope="module")
def kicking():
    """A person on both feet whose toes touch a box on the floor."""
    puppet = Puppet(np.zeros(10)).pose("stand")
    stance(puppet, np.random.default_rng(0), stride=0.0)
    toes = puppet.points("right_toes")
    box = stand_on_floor(make_object("box", width=0.4))
    # The "test" body's toes; the "default" body's, whose vertices are more, reach a millimetre farther.
    placed = box.move(toes[:, 0].mean(), 0.0, toes[:, 2].max() + 0.002 - box.box()[0][2])
    start = ScriptedStart(puppet, placed, ("right_toes",))
    candidate = Candidate(0, 0, ACTIONS["kick"], "box", 0, 0, "", start)
    return SolvedCandidate(candidate, puppet.rotations, puppet.translation, placed.rotation, placed.translation)


def failed(fitted):
    return set(checks.check(fitted).failed)


def test_a_good_one_passes(kicking):
    checked = checks.check(kicking)
    assert not checked.failed
    assert checked.body_contact.any() and checked.body_floor.any() and checked.object_floor.any()
    assert checked.depth < 0.004


@pytest.mark.parametrize(
    ("shift", "reason"),
    [
        ((0.0, 0.0, 0.1), "contact"),
        ((0.0, 0.0, -0.05), "penetration"),
        ((0.0, -0.05, 0.0), "floor"),
        ((0.0, 0.3, 0.0), "support"),
    ],
)
def test_a_misplaced_object_is_refused(kicking, shift, reason):
    assert reason in failed(dataclasses.replace(kicking, object_translation=kicking.object_translation + shift))


def test_depth_is_measured(kicking):
    deep = dataclasses.replace(kicking, object_translation=kicking.object_translation + [0.0, 0.0, -0.03])
    assert 0.02 < checks.check(deep).depth < 0.04


def test_a_broken_body_is_refused(kicking):
    tilted = kicking.rotations.copy()
    tilted[0] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    assert "balance" in failed(dataclasses.replace(kicking, rotations=tilted))
    bent = kicking.rotations.copy()
    bent[4] = [[1, 0, 0], [0, 0.5, 0.866], [0, -0.866, 0.5]]  # the left knee, 60 degrees the wrong way
    assert "limits" in failed(dataclasses.replace(kicking, rotations=bent))
