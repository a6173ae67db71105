"""`annotate` as a job: samples of a dataset go in; records with texts, the few that are good to train on, a page.

An item is a shard of some samples, written whole or not at all; a sample that cannot be used is named in its shard's
record and the rest goes on. When all shards are there the choice is made and its pictures are a job of their own.
"""

import dataclasses
import functools
import importlib.metadata
import json
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hoijax.data.sheet import spread_indices
from hoijax.errors import InputError
from hoijax.io import output_directory, value_digest, write_json, write_text
from hoijax.io.reading import reason
from hoijax.jobs.annotation_page import write_annotation_page
from hoijax.jobs.annotation_request import AnnotationRequest
from hoijax.jobs.annotation_views import prepare_views, view_rows
from hoijax.jobs.engine import Executor, Item, Job, Outcome, Watch, run_job
from hoijax.jobs.record import plain_options, provenance, read_record
from hoijax.jobs.screen import Phases, tell
from hoijax.language import Recorder, Replay
from hoijax.systems.hoi3dgen.annotation import (
    CONFIGURATIONS,
    REASONS,
    RULES,
    ModelAnnotator,
    OfflineAnnotator,
    SampleSource,
    annotate_sample,
    open_samples,
    parse_record,
    select,
)
from hoijax.systems.hoi3dgen.annotation.annotators import Annotator
from hoijax.systems.hoi3dgen.annotation.questions import ModelGone

RECORDS, SELECTED, PAGE, SUMMARY = "records.jsonl", "selected.jsonl", "report.html", "metrics.json"


@dataclasses.dataclass(frozen=True)
class _Shard:
    """What was made of a shard."""

    lines: tuple[str, ...]
    failures: dict[str, str]
    recorder: Recorder | None


def annotate(
    request: AnnotationRequest,
    *,
    redo: bool = False,
    execute: Callable[[Callable[[], Job]], Executor] | None = None,
) -> bool:
    """Annotates, filters, chooses, draws, and writes the page.

    Args:
      request: what.
      redo: also what is finished.
      execute: from the function that makes a job to its executor; None: in this process.

    Returns:
      Whether every sample could be used.

    Raises:
      InputError: nothing can be annotated, or the folder cannot be written to.
    """
    phases = Phases()
    prepare = functools.partial(prepare_job, request)
    job = prepare()
    with phases("annotation"):
        outcome = run_job(job, request.out, redo=redo, execute=execute and execute(prepare))
    if outcome.failures:
        name, message = next(iter(outcome.failures.items()))
        raise InputError(
            f"{len(outcome.failures)} of {len(job.items)} shards are not finished, the first {name}: {message}; "
            "the same command goes on from there"
        )
    with phases("choice"):
        summary = _choose(request, outcome)
    if request.views:
        draw = functools.partial(prepare_views, request)
        pictures = draw()
        with phases("pictures"):
            drawn = run_job(pictures, request.out / "images", redo=redo, execute=execute and execute(draw))
        summary["pictures"] = len(drawn.finished)
        summary["failures"] |= drawn.failures
    write_annotation_page(request.out, summary)
    write_json(request.out / SUMMARY, summary | {"options": plain_options(request.options)} | provenance())
    taken = sum(row["taken"] for row in summary["configurations"].values())
    tell(
        f"{summary['records']} records, {taken} taken, {len(summary['failures'])} samples that cannot be used: "
        f"{request.out / PAGE}"
    )
    for name, message in list(summary["failures"].items())[:10]:
        tell(f"not used: {name}: {message}")
    return not summary["failures"]


def prepare_job(request: AnnotationRequest) -> Job:
    """One item per shard.

    Raises:
      InputError: nothing can be annotated.
    """
    if request.shard < 1 or request.votes < 1 or (request.limit is not None and request.limit < 1):
        raise InputError(
            f"wanted at least one sample a shard, one vote and one sample, got {request.shard}, {request.votes}, "
            f"{request.limit}"
        )
    if request.views and not 32 <= request.views <= 4096:
        raise InputError(f"pictures of {request.views} pixels; wanted 32 to 4096, or 0 for none")
    source = open_samples(request.dataset, request.root, split=request.split, body_model=request.body_model)
    rule = source.rule if request.rule == "auto" else request.rule
    if rule not in RULES:
        raise InputError(f"no rule of contact {rule!r}; there are auto, {', '.join(RULES)}")
    replay = None if request.transcript is None else read_transcripts(request.transcript)
    keys = source.keys
    if request.limit is not None:
        keys = tuple(keys[i] for i in spread_indices(len(keys), request.limit))
    settings = {
        "version": importlib.metadata.version("hoijax"), "dataset": request.dataset, "rule": rule,
        "config": dataclasses.asdict(request.config), "votes": request.votes,
        "model": "" if request.model is None else request.model.name,
        "transcript": "" if replay is None else value_digest(replay.replies),
        "body_model": str(request.body_model),
    }  # fmt: skip
    files = (".jsonl",) if request.model is None else (".jsonl", ".transcript.json")
    items = []
    for number, first in enumerate(range(0, len(keys), request.shard)):
        part = keys[first : first + request.shard]
        name = f"{number:05d}"
        items.append(
            Item(
                name=f"shard-{name}", folder=request.out / "shards", record=f"{name}.json",
                key=value_digest(settings | {"samples": [(key, source.stamp(key)) for key in part]}),
                files=tuple(name + file for file in files), inputs=part,
            )
        )  # fmt: skip
    compute = functools.partial(_compute, request, source, rule, replay)
    return Job(tuple(items), compute, _write, units="shards")


def read_transcripts(path: pathlib.Path) -> Replay:
    """A transcript, or all of a folder as one.

    Raises:
      InputError: there is none, or it is damaged.
    """
    files = sorted(path.rglob("*transcript*.json")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path} holds no transcript; wanted files named such as 00000.transcript.json")
    read = [Replay.read(file) for file in files]
    replies: dict[str, list[str]] = {}
    for one in read:
        for key, texts in one.replies.items():
            replies.setdefault(key, []).extend(texts)
    return Replay(read[0].name, replies, str(path))


def read_records(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Records of a file of JSON lines, one by one.

    Raises:
      InputError: the file cannot be read, or a line is no record; says which.
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                yield parse_record(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {reason(error)}") from error


def _compute(
    request: AnnotationRequest,
    source: SampleSource,
    rule: str,
    replay: Replay | None,
    batch: Sequence[Item],
    watch: Watch,
) -> list[_Shard | InputError]:
    results: list[_Shard | InputError] = []
    for item in batch:
        recorder = None if request.model is None else Recorder(request.model)
        model = recorder or replay
        # Votes of one temperature would be equal.
        hot = 0.0 if request.votes == 1 else 0.7
        annotator: Annotator = OfflineAnnotator() if model is None else ModelAnnotator(model, request.votes, hot)
        try:
            results.append(_shard(request, source, rule, annotator, recorder, item.inputs, watch))
        except ModelGone as error:
            results.append(error)
    return results


def _shard(
    request: AnnotationRequest,
    source: SampleSource,
    rule: str,
    annotator: Annotator,
    recorder: Recorder | None,
    keys: Sequence[str],
    watch: Watch,
) -> _Shard:
    lines, failures = [], {}
    for number, key in enumerate(keys):
        watch(number / len(keys), "annotating")
        try:
            record = annotate_sample(source.load(key), annotator, RULES[rule], request.config)
        except ModelGone:
            raise
        except InputError as error:
            failures[key] = str(error)
            continue
        except Exception as error:  # whatever a damaged file does to a reader: one sample never ends the rest
            failures[key] = f"damaged: {reason(error)}"
            continue
        lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False))
    return _Shard(tuple(lines), failures, recorder)


def _write(item: Item, shard: _Shard) -> dict[str, Any]:
    write_text(item.folder / item.files[0], "".join(f"{line}\n" for line in shard.lines))
    if shard.recorder is not None:
        shard.recorder.write(item.folder / item.files[1])
    return {"records": len(shard.lines), "failures": shard.failures}


def _choose(request: AnnotationRequest, outcome: Outcome) -> dict[str, Any]:
    """Takes the best of all shards; writes all records and those taken."""
    failures: dict[str, str] = {}
    good: list[dict[str, Any]] = []
    for item in outcome.finished:
        failures |= read_record(item.folder / item.record).get("failures", {})
        good += [r for r in read_records(item.folder / item.files[0]) if not r["flags"]]
    taken, doubles = select(good, request.config)
    double = {good[i]["id"] for i in doubles}
    chosen = [good[i] for i in taken]
    output_directory(request.out)
    found: Counter[str] = Counter()
    first: Counter[str] = Counter()
    drops: dict[str, Counter[str]] = {name: Counter() for name in CONFIGURATIONS}
    part = request.out / f".{RECORDS}.part"
    with part.open("w", encoding="utf-8") as file:
        for item in outcome.finished:
            for record in read_records(item.folder / item.files[0]):
                if record["id"] in double:
                    record["flags"] = ["duplicate"]
                config = record["contact"]["config"]
                found[config] += 1
                if record["flags"]:
                    first[record["flags"][0]] += 1
                    drops[config][record["flags"][0]] += 1
                file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    part.replace(request.out / RECORDS)
    for record in chosen:
        record["views"] = view_rows(record["id"]) if request.views else []
    write_text(request.out / SELECTED, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in chosen))
    counts = Counter(record["contact"]["config"] for record in chosen)
    rows = {
        name: {"records": found[name], "dropped": dict(drops[name]), "taken": counts[name]} for name in CONFIGURATIONS
    }  # fmt: skip
    return {
        "dataset": request.dataset, "records": sum(found.values()), "configurations": rows,
        "dropped": {name: first[name] for name in REASONS}, "failures": failures,
    }  # fmt: skip
