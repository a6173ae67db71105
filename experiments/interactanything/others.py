"""Meshes that nobody here made: twenty of the CC0 furniture set that no script was written on, and ten of packages."""

from hoijax.data.objects.real import load_packaged, shipped
from hoijax.experiments.interactanything.evaluate import Case
from hoijax.experiments.real_objects.cases import PACKAGED

SENTENCES = {
    "armchair": ("sits on", "pushes"), "bag": ("holds",), "bed": ("lies on", "sits on"), "bottle": ("holds", "lifts"),
    "box": ("lifts", "holds"), "cabinet": ("pushes", "touches"), "chair": ("sits on", "lifts"), "cup": ("holds",),
    "lamp": ("touches",), "plant": ("touches",), "racket": ("holds",), "sofa": ("sits on", "lies on"),
    "stool": ("sits on", "stands on"), "table": ("leans on", "wipes", "pushes"), "toy": ("holds",),
    "wheelbarrow": ("pushes",),
}  # fmt: skip
"""What is done with each kind: of its shapes in turn."""
FURNITURE = 20
NOUNS = {
    "bottle.obj": ("bottle", "holds"), "can.obj": ("can", "holds"), "cereal.obj": ("box", "holds"),
    "milk.obj": ("carton", "holds"), "bread.obj": ("bread", "holds"), "cube.obj": ("box", "carries"),
    "cylinder.obj": ("barrel", "hugs"), "soccer_white.stl": ("ball", "lifts"), "therm_body.stl": ("bottle", "lifts"),
    "hammerhandle.stl": ("hammer", "holds"),
}  # fmt: skip
"""Noun and verb of ten files of packages."""


def other_cases() -> list[Case]:
    """Thirty cases."""
    cases: list[Case] = []
    seen: dict[str, int] = {}
    for shape in shipped("test"):
        verbs = SENTENCES.get(shape.kind)
        if verbs is None or len(cases) == FURNITURE:
            continue
        verb = verbs[seen.get(shape.kind, 0) % len(verbs)]
        seen[shape.kind] = seen.get(shape.kind, 0) + 1
        cases.append(Case(shape.name, f"A person {verb} the {shape.kind}", lambda shape=shape: shape.mesh))
    for package, path, longest, z_up, _ in PACKAGED:
        name = path.rpartition("/")[2]
        if name in NOUNS:
            noun, verb = NOUNS[name]
            cases.append(
                Case(
                    f"{package} {name}",
                    f"A person {verb} the {noun}",
                    lambda package=package, path=path, longest=longest, z_up=z_up: load_packaged(
                        package, path, longest, z_up=z_up
                    ),
                )
            )
    return cases
