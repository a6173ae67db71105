"""The command line with the optimisation taken out: everything else (reading, checking, writing, resuming) is real.

As a script it runs `hoijax` that way, waiting `FAKE_SECONDS` in each batch, so that a test can interrupt it.
"""

import os
import signal
import sys
import time

import numpy as np
from scipy.spatial.transform import Rotation

MOVE = np.array([0.0, 0.01, 0.0], np.float32)
TURN = Rotation.from_rotvec([0, 0, 0.05])
CALLS = []
AFTER = [0.002]
"""Distances and depths of results, metres; a list, so that a test can change it."""
TILT = [0.0]
"""How far objects lean afterwards, radians."""


def refine_batch(
    model, params, template, pose, contacts=None, config=None, *, regions=None, soft=None, floor=None, body=None,
    progress=None,
):  # fmt: skip
    """Moves the body up by a centimetre, turns its left elbow, and moves the object with it."""
    from hoijax.geometry import RigidPose
    from hoijax.optim.gradient import Progress, RefineMetrics, RefineResult

    batch = len(params.translation)
    CALLS.append(
        {
            "batch": batch,
            "contacts": contacts,
            "floor": floor,
            "config": config,
            "template": template,
            "regions": regions,
            "soft": soft,
        }
    )
    time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
    if progress is not None:
        progress(Progress("polish", batch * config.steps, batch * config.steps, batch, batch))
    rotations = np.array(params.rotations)
    rotations[:, 18] = rotations[:, 18] @ TURN.as_matrix().astype(np.float32)
    parts = [("left_hand",)] * batch if contacts is None else [tuple(p) for p in contacts]

    def metrics(value):
        one = np.full(batch, value, np.float32)
        return RefineMetrics(np.full((batch, max(map(len, parts)) or 1), value, np.float32), one, one, one)

    return RefineResult(
        params=params.replace(rotations=rotations, translation=params.translation + MOVE),
        pose=RigidPose(pose.rotation @ TURN.as_matrix().astype(np.float32), pose.translation + MOVE, pose.scale),
        before=metrics(0.05),
        after=metrics(AFTER[0]),
        steps=np.full(batch, 7, np.int32),
        converged=np.ones(batch, bool),
        tilt=np.full(batch, TILT[0], np.float32),
        parts=tuple(parts),
    )


def make_solid_template(mesh, resolution=64):
    """A template whose distance field is a metre everywhere, of a mesh that has nothing to say of itself."""
    from hoijax.geometry import SDFGrid, SolidReport
    from hoijax.interaction import ObjectTemplate

    ones = np.ones((2, 2, 2), np.float32)
    grid = SDFGrid(ones, np.zeros(3, np.float32), ones[0, 0, 0])
    return ObjectTemplate(mesh, np.zeros((64, 3), np.float32), grid), SolidReport(1, 1, 0, 0.0, 0.0, 0.0)


def patch(setattr_):
    """Puts the fake in place; `setattr_` is `setattr` or `monkeypatch.setattr`."""
    from hoijax.jobs import objects, refinement, requests

    setattr_(refinement, "refine_batch", refine_batch)
    setattr_(requests, "body_field", lambda model: None)
    setattr_(objects, "make_solid_template", make_solid_template)


if __name__ == "__main__":
    from hoijax.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell started in the background
    patch(setattr)
    sys.exit(main(sys.argv[1:]))
