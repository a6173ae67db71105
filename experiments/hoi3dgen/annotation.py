"""How right `hoijax annotate` is on SynthHOI: contact against the construction's labels, injected errors by reason.

    python -m hoijax.experiments.hoi3dgen.annotation --work DIR --count 2000 --out docs/results/hoi3dgen_annotation.md

Samples are those of a SynthHOI's train split without pictures (`steps` gradient steps instead of its 150, `instances`
objects of a category instead of its 32), made 100 at a time and kept in DIR, from which a stopped run goes on. The
construction's label is what the script asked to touch, with what the generator's check then labelled as touching (1 cm,
by its own distances).
"""

import collections
import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.body_models import contact_regions, free_body
from hoijax.data.synth import SynthConfig
from hoijax.data.synth.attempts import find_interactions
from hoijax.data.synth.checks import Checked
from hoijax.data.synth.samples import body_fields
from hoijax.errors import InputError
from hoijax.experiments.command import run_command
from hoijax.geometry import Mesh
from hoijax.io import file_digest, output_directory, read_json, value_digest, write_json, write_text
from hoijax.jobs.annotation import annotate
from hoijax.jobs.annotation_request import AnnotationRequest
from hoijax.jobs.engine import Executor, Job
from hoijax.jobs.runners import executor
from hoijax.metrics.summary import wilson
from hoijax.systems.hoi3dgen import annotation
from hoijax.systems.hoi3dgen.annotation import (
    ACTIONS,
    CONFIGURATIONS,
    RULES,
    OfflineAnnotator,
    PosedSample,
    SampleSource,
    annotate_sample,
    configuration,
    open_samples,
    reasons_against,
    select,
)
from hoijax.systems.hoi3dgen.annotation.contact import (
    PARTS,
    body_distances,
    body_places,
    contact_from_distances,
    without_forearms,
)
from hoijax.systems.hoi3dgen.annotation.sources import synth_sample

BATCH = 100
"""Samples that are made and kept together: the more, the fewer rows of a fitted batch are filled up."""
LABELS = ("asked", "recorded")
SHARE = 0.15
"""Share of a region's vertices from which asking for the region asks for a part."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What is measured."""

    work: pathlib.Path
    """Folder for samples."""
    out: pathlib.Path | None = None
    """Markdown page."""
    count: int = 2000
    """Samples that are made."""
    roots: tuple[pathlib.Path, ...] = ()
    """Folders of finished builds of SynthHOI, whose samples are measured too."""
    errors: int = 100
    """Records that each kind of error is put into."""
    steps: int = 60
    """Gradient steps of the contact fitting; SynthHOI's own builds take 150."""
    instances: int = 8
    """Objects of a category; SynthHOI's own builds take 32. The distance grid of each takes half a CPU second."""
    seed: int = 0
    make: bool = True
    """Make samples that are missing; otherwise take those that are there."""
    beam: int = 0
    """Samples of the first root that the plain loop, two processes and Beam's local runner annotate, to compare."""

    def __post_init__(self):
        for name, least in (("count", 1), ("errors", 1), ("steps", 1), ("instances", 4)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")


def main(config: Config) -> dict[str, Any]:
    """Makes samples, measures, writes the page; answers its numbers."""
    rows, found = [], []
    for path, batch in samples(config):
        rows += batch
        found += measured(path, batch)
    loaded = [functools.partial(synth_sample, row) for row in rows][: config.count]
    found = found[: config.count]
    for root in config.roots:
        source = open_samples("synth_hoi", root)
        more = [functools.partial(_load, source, key) for key in source.keys]
        loaded += more
        found += [measure(load()) for load in more]
    if not found:
        raise InputError(f"{config.work} holds no samples; leave --no-make out")
    agreed = {rule: {name: sum(f["got"][rule] == f[name] for f in found) for name in LABELS} for rule in RULES}
    confusion = collections.Counter((f["recorded"], f["got"]["exact"]) for f in found)
    wrong = collections.Counter(
        (f["action"], f["recorded"], f["got"]["exact"]) for f in found if f["recorded"] != f["got"]["exact"]
    )
    records = [f["record"] for f in found]
    good = [(load, record) for load, record in zip(loaded, records, strict=True) if not record["flags"]]
    drops = collections.Counter(record["flags"][0] for record in records if record["flags"])
    taken, doubles = select(records)
    chosen = collections.Counter(records[i]["contact"]["config"] for i in taken)
    errors = {name: inject(kind, good, config) for name, kind in KINDS.items()}
    result = {
        "samples": len(found),
        "agreement": {r: {n: v / len(found) for n, v in c.items()} for r, c in agreed.items()},
        "interval": {r: {n: wilson(v, len(found)) for n, v in c.items()} for r, c in agreed.items()},
        "confusion": {f"{a} as {b}": n for (a, b), n in sorted(confusion.items())},
        "wrong": {f"{a}: {b} as {c}": n for (a, b, c), n in wrong.most_common()},
        "dropped": dict(drops), "duplicates": len(doubles), "taken": dict(chosen), "errors": errors,
        "beam": compare_runners(config) if config.beam else None,
    }  # fmt: skip
    if config.out is not None:
        write_text(config.out, page(result))
        write_json(config.out.with_suffix(".json"), result)
    print(page(result))
    return result


def measure(sample: PosedSample) -> dict[str, Any]:
    """What is measured of a sample: its labels by construction, its configuration by each rule, its record."""
    distance = body_distances(sample.vertices, sample.object)
    return {
        "action": sample.action or "", **{name: label(sample, recorded=name == "recorded") for name in LABELS},
        "got": {name: contact_from_distances(distance, sample.model, rule).config for name, rule in RULES.items()},
        "record": annotate_sample(sample, OfflineAnnotator(), RULES["exact"], distance=distance),
    }  # fmt: skip


def measured(path: pathlib.Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is measured of a batch, kept beside its file as long as the annotation's code is the same."""
    kept = path.with_name(path.name.replace("train", "measured"))
    code = value_digest([file_digest(file) for file in sorted(pathlib.Path(annotation.__file__).parent.glob("*.py"))])
    if kept.is_file() and (found := read_json(kept))["code"] == code:
        return found["samples"]
    found = [measure(synth_sample(row)) for row in rows]
    write_json(kept, {"code": code, "samples": found})
    return found


def compare_runners(config: Config) -> dict[str, Any]:
    """Records of the first root by the plain loop, by two processes and by Beam's local runner."""
    if not config.roots:
        raise InputError("--beam takes samples of a finished build; name one with --roots")
    made = {}
    for name, runner, workers in (("loop", "local", 1), ("processes", "local", 2), ("beam", "direct", 1)):
        out = config.work / f"by_{name}"
        request = AnnotationRequest("synth_hoi", config.roots[0], out, limit=config.beam, shard=10, views=0)
        execute = functools.partial(_executor, runner, out, workers)
        annotate(request, redo=True, execute=execute)
        made[name] = (out / "records.jsonl").read_bytes()
    count = len(made["loop"].splitlines())
    return {"samples": count, "same": [name for name in made if made[name] == made["loop"]]}


def _executor(runner: str, out: pathlib.Path, workers: int, prepare: Callable[[], Job]) -> Executor:
    return executor(runner, (), prepare, out, workers)


def _load(source: SampleSource, key: str) -> PosedSample:
    return dataclasses.replace(source.load(key), picture=None)


def samples(config: Config) -> Iterator[tuple[pathlib.Path, list[dict[str, Any]]]]:
    """Batches of samples and their files, made where they are missing."""
    output_directory(config.work)
    settings = {"seed": config.seed, "steps": config.steps, "instances": config.instances}
    synth = SynthConfig(**settings)
    for first in range(0, config.count, BATCH):
        path = config.work / f"train-{first:06d}.json"
        if not path.is_file():
            if not config.make:
                continue
            found, _ = find_interactions(synth, "train", range(first, first + BATCH))
            rows = [as_row(found[i], i) for i in range(first, first + BATCH)]
            write_json(path, {"settings": settings, "samples": rows})
            print(f"{first + BATCH} samples", flush=True)
        kept = read_json(path)
        if kept.get("settings") != settings:
            raise InputError(f"{path} holds samples of {kept.get('settings')}, wanted {settings}; take another --work")
        yield path, [from_row(row) for row in kept["samples"]]


def as_row(checked: Checked, index: int) -> dict[str, Any]:
    """A sample as JSON holds it."""
    fitted, candidate = checked.fitted, checked.fitted.candidate
    body = body_fields(fitted.rotations, candidate.start.puppet.betas, fitted.translation)
    return {
        "key": f"train-{index:06d}", "action": candidate.action.name, "category": candidate.category,
        "object_seed": candidate.object_seed, "body": {name: value.tolist() for name, value in body.items()},
        "obj_rot": Rotation.from_matrix(fitted.object_rotation).as_rotvec().tolist(),
        "obj_trans": fitted.object_translation.tolist(), "contact_parts": ",".join(candidate.start.contact),
        "touching": np.flatnonzero(checked.body_contact).tolist(),
    }  # fmt: skip


def from_row(row: dict[str, Any]) -> dict[str, Any]:
    """A sample as `synth_sample` takes it."""
    touching = np.zeros(free_body().num_vertices, bool)
    touching[np.asarray(row["touching"], int)] = True
    return row | {"body_contact": touching}


def label(sample: PosedSample, *, recorded: bool) -> str:
    """The configuration by construction: of the parts that were asked for, and of those recorded as touching."""
    places, regions = body_places(sample.model), contact_regions(sample.model)
    parts = set()
    for name in sample.contact_parts:
        region = np.zeros(sample.model.num_vertices, bool)
        region[regions[name]] = True
        parts |= {part for part in PARTS if (places[part] & region).sum() >= SHARE * region.sum()}
    if recorded:
        parts |= {part for part in PARTS if (places[part] & sample.body_contact).sum() >= 3}
    return configuration(without_forearms(parts))


Pair = tuple[PosedSample, dict[str, Any]]
Lazy = tuple[Callable[[], PosedSample], dict[str, Any]]
"""A sample when it is needed, and its record."""


def inject(
    kind: Callable[[PosedSample, dict[str, Any]], Pair | None], good: list[Lazy], config: Config
) -> dict[str, int]:
    """What the filter says of good records after an error was put into them: the first reason, counted."""
    found: collections.Counter[str] = collections.Counter()
    for load, record in good:
        if sum(found.values()) == config.errors:
            break
        sample = load()
        changed = kind(sample, json.loads(json.dumps(record)))
        if changed is None:
            continue  # the error is none for this record
        moved, altered = changed
        if moved is not sample:
            own = annotate_sample(moved, OfflineAnnotator(), RULES["exact"])
            # What was said of the sample is said of the moved one: its contact alone is measured again.
            altered = own | {name: altered[name] for name in ("action", "appearance")}
        flags = reasons_against(altered)
        if kind is _again and select([record, altered | {"id": f"{record['id']} again"}])[1] == [1]:
            flags.append("duplicate")
        found[flags[0] if flags else "none"] += 1
    return dict(found)


def _moved(sample: PosedSample, body: np.ndarray, thing: np.ndarray, scale: float = 1.0) -> PosedSample:
    """The sample with body and object shifted, and the object scaled about its point nearest to the body."""

    def place(mesh: Mesh) -> Mesh:
        return Mesh(pivot + scale * (np.asarray(mesh.vertices) - pivot) + thing, mesh.faces)

    corners = np.asarray(sample.object.vertices)
    gap = np.linalg.norm(corners[:, None] - sample.vertices[None, ::40], axis=2).min(axis=1)
    pivot = corners[gap.argmin()]
    fields = sample.body | {"transl": sample.body["transl"] + body.astype(np.float32)}
    return dataclasses.replace(
        sample, vertices=sample.vertices + body, body=fields, object=place(sample.object), solid=place(sample.solid),
        obj_trans=sample.obj_trans + thing,
    )  # fmt: skip


def _away(sample: PosedSample, record: dict[str, Any]) -> Pair:
    reach = np.ptp(sample.vertices, axis=0).max() + np.ptp(np.asarray(sample.object.vertices), axis=0).max()
    return _moved(sample, np.zeros(3), reach * sample.facing), record


def _into(sample: PosedSample, record: dict[str, Any]) -> Pair:
    spine = sample.vertices[body_places(sample.model)["spine2"]].mean(axis=0)
    corners = np.asarray(sample.object.vertices)
    nearest = corners[np.linalg.norm(corners - spine, axis=1).argmin()]
    return _moved(sample, np.zeros(3), spine - nearest), record


def _up(sample: PosedSample, record: dict[str, Any]) -> Pair | None:
    lift = np.array([0.0, 0.2, 0.0])
    return (_moved(sample, lift, lift), record) if ACTIONS[record["action"]["name"]].standing else None


def _tiny(sample: PosedSample, record: dict[str, Any]) -> Pair:
    size = np.ptp(np.asarray(sample.object.vertices), axis=0).max()
    return _moved(sample, np.zeros(3), np.zeros(3), scale=0.01 / size), record


def _other_action(sample: PosedSample, record: dict[str, Any]) -> Pair:
    config = record["contact"]["config"]
    others = [name for name, action in ACTIONS.items() if config not in action.configurations and action.standing]
    record["action"]["name"] = others[int(record["id"][-3:]) % len(others)]
    return sample, record


def _unsure(sample: PosedSample, record: dict[str, Any]) -> Pair:
    record["action"]["confidence"] = 0.4
    return sample, record


def _other_side(sample: PosedSample, record: dict[str, Any]) -> Pair | None:
    swap = {"left": "right", "right": "left", "both": "one"}
    words = record["text"].split()
    swapped = " ".join(swap.get(word, word) for word in words)
    return None if swapped == record["text"] else (sample, record | {"text": swapped})


def _cut(sample: PosedSample, record: dict[str, Any]) -> Pair:
    words = record["text"].split()
    return sample, record | {"text": " ".join(words[: -1 - int(record["id"][-3:]) % 3])}


def _long(sample: PosedSample, record: dict[str, Any]) -> Pair:
    return sample, record | {"text": record["text"][:-1] + " while nothing else happens" * 15 + "."}


def _again(sample: PosedSample, record: dict[str, Any]) -> Pair:
    for part, key in (("smpl", "trans"), ("object", "t")):
        record[part][key] = (np.asarray(record[part][key]) + [1.0, 0.0, -0.5]).tolist()
    return sample, record


KINDS: dict[str, Callable[[PosedSample, dict[str, Any]], Pair | None]] = {
    "none": lambda sample, record: (sample, record), "penetration": _into, "floating": _up, "implausible size": _tiny,
    "no contact": _away, "mismatch": _other_action, "implausible action": _unsure, "contradictory contact": _other_side,
    "truncated text": _cut, "long text": _long, "duplicate": _again,
}  # fmt: skip
"""Kinds of errors by the reason that must be found."""


def page(result: dict[str, Any]) -> str:
    """The page of results."""
    lines = [
        f"# Annotation of {result['samples']:,} SynthHOI samples", "",
        "`python -m hoijax.experiments.hoi3dgen.annotation --work DIR --out docs/results/hoi3dgen_annotation.md`;",
        "samples of SynthHOI, offline annotator.", "",
        "Contact configuration equal to the construction's label: `recorded`, the parts that the script asked to touch",
        "with those that the generator then labelled as touching; `asked`, the former alone, which does not know of a",
        "backpack that also brushes the thigh.", "",
        "| rule | recorded | 95 % interval | asked |", "|---|---|---|---|",
        *(_row(rule, shares, *result["interval"][rule]["recorded"]) for rule, shares in result["agreement"].items()),
        "",
        "| recorded as | measured by `exact` | samples |", "|---|---|---|",
        *(f"| {k.split(' as ')[0]} | {k.split(' as ')[1]} | {v} |" for k, v in result["confusion"].items()), "",
        "Errors put into good records, and the first reason that the filter gave:", "",
    ]  # fmt: skip
    names = [*KINDS]
    lines += [f"| put in | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(str(row.get(other, 0) or '') for other in names)} |"
        for name, row in result["errors"].items()
    ]
    dropped = ", ".join(f"{name} {n}" for name, n in result["dropped"].items()) or "none"
    taken = ", ".join(f"{name} {result['taken'].get(name, 0)}" for name in CONFIGURATIONS)
    lines += [
        "",
        f"Of the samples themselves the filter drops: {dropped}; duplicates {result['duplicates']}. Taken: {taken}.",
    ]
    if result["beam"]:
        made = result["beam"]
        lines += ["", f"The same bytes of {made['samples']} records by: {', '.join(made['same'])}."]
    return "\n".join(lines) + "\n"


def _row(rule: str, shares: dict[str, float], low: float, high: float) -> str:
    recorded, asked = 100 * shares["recorded"], 100 * shares["asked"]
    return f"| {rule} | {recorded:.1f} % | {100 * low:.1f} to {100 * high:.1f} % | {asked:.1f} % |"


if __name__ == "__main__":
    run_command(main, Config)
