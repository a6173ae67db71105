"""A sentence and a mesh: what it means, where the parts go, and ranked interactions."""

import pathlib

import numpy as np
import trimesh
import tyro

from hoijax import viz
from hoijax.body_models import free_body, pose_body
from hoijax.geometry import Mesh
from hoijax.interaction import make_template
from hoijax.systems import interactanything as system
from hoijax.systems.interactanything.relations import reason


def main(
    sentence: str = "A person sits on the stool",
    out: pathlib.Path = pathlib.Path("examples_out/10"),
    count: int = 4,
    small: bool = False,
) -> dict:
    """Sits a person on a box that nobody has labelled."""
    box = trimesh.creation.box((0.4, 0.45, 0.4))
    mesh = Mesh(box.vertices.astype(np.float32), box.faces)
    relations = reason(sentence, mesh)  # offline: a lexicon and the mesh's own geometry
    print(relations.pose, [(c.body_part, c.object_part, c.kind) for c in relations.contacts])

    model = free_body("test" if small else "default")
    prepared = system.prepare(model, make_template(mesh, resolution=32 if small else 64), relations)
    result = system.run(prepared, system.SynthesisConfig(count=1 if small else count, refine=not small))
    best = result.candidates[0]
    print(best.reason)
    out.mkdir(parents=True, exist_ok=True)
    body = np.asarray(pose_body(model, best.params).vertices)
    thing = mesh.vertices @ np.asarray(best.pose.rotation).T + np.asarray(best.pose.translation)
    scene = [
        viz.NamedMesh("body", body, np.asarray(model.faces), None),
        viz.NamedMesh("object", thing, mesh.faces, None),
    ]
    viz.write_views(out / "best.png", scene, views=2, size=96 if small else 384)
    return {"contacts": [c.body_part for c in relations.contacts], "contact": best.contact, "good": best.good}


if __name__ == "__main__":
    tyro.cli(main)
