"""Runs an evaluation: per sample, resumable; then the table with bootstrap intervals."""

import contextlib
import dataclasses
import importlib.metadata
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm

from hoijax.data.evaluation.measures import EvaluateConfig, measure
from hoijax.data.evaluation.predictions import Predictions
from hoijax.data.evaluation.states import state_of
from hoijax.data.evaluation.table import markdown, rows_of
from hoijax.data.evaluation.truths import TruthSource
from hoijax.errors import InputError
from hoijax.io import check_output_directory, output_directory, value_digest, write_json, write_text

_PARTIAL = "samples.partial.jsonl"
_SAMPLES = "samples.jsonl"


@dataclasses.dataclass(frozen=True)
class Report:
    """What an evaluation found."""

    metrics: dict[str, dict[str, Any]]
    """Metric to mean, low, high, count, unit and which way is better."""
    samples: dict[str, dict[str, float]]
    """Id to the numbers of each evaluated sample."""
    missing: tuple[str, ...]
    """Samples of the dataset without a prediction."""
    extra: tuple[str, ...]
    """Predictions that belong to no sample."""
    unusable: dict[str, str]
    """Id to what is wrong with its prediction."""
    broken_truth: dict[str, str]
    """Id to what is wrong with the dataset's own files."""

    @property
    def complete(self) -> bool:
        """Every sample of the split was evaluated and every prediction used."""
        return not (self.missing or self.extra or self.unusable or self.broken_truth)


def evaluate(
    source: TruthSource,
    predictions: Predictions,
    out: str | pathlib.Path,
    config: EvaluateConfig | None = None,
    *,
    progress: bool = True,
) -> Report:
    """Scores predictions on a split and writes `metrics.json`, `samples.jsonl` and `table.md`.

    A stopped run goes on where it was: samples whose prediction and settings are unchanged are not measured again.

    Args:
      source: the truth.
      predictions: of any method.
      out: folder of the results.
      config: what is measured; None: everything, with the published thresholds.
      progress: show a bar.

    Returns:
      The report.

    Raises:
      InputError: no prediction belongs to the split, or none can be used; nothing is written then.
    """
    check_output_directory(out)
    config = EvaluateConfig() if config is None else config
    known = set(source.ids)
    missing = tuple(i for i in source.ids if i not in predictions)
    extra = tuple(sorted(i for i in predictions if i not in known))
    matched = [i for i in source.ids if i in predictions]
    if not matched:
        mine, theirs = (next(iter(x), "none at all") for x in (source.ids, predictions))
        raise InputError(
            f"no prediction of {predictions.where} belongs to {source.name} {source.split}: its samples are named like "
            f"'{mine}', the predictions like '{theirs}'"
        )
    out = pathlib.Path(out)
    finished, groups, unusable, broken = _measure_all(source, predictions, matched, out, config, progress)
    if not finished:
        first = next(iter((unusable | broken).items()))
        raise InputError(f"none of {len(matched)} predictions can be used; the first: {first[0]}: {first[1]}")
    report = Report(rows_of(finished, groups, config), finished, missing, extra, unusable, broken)
    _write(output_directory(out), source, report, groups, config)
    return report


def _measure_all(
    source: TruthSource,
    predictions: Predictions,
    ids: Sequence[str],
    out: pathlib.Path,
    config: EvaluateConfig,
    progress: bool,
) -> tuple[dict[str, dict[str, float]], dict[str, str], dict[str, str], dict[str, str]]:
    """Numbers and group per sample, and what could not be used: predictions, truths."""
    before = _read_lines(out)
    finished, groups, unusable, broken = {}, {}, {}, {}
    # What the bootstrap draws decides no sample's numbers.
    settings = dataclasses.asdict(dataclasses.replace(config, level=0.5, resamples=1, by="sample"))
    common = {"settings": settings, "truth": source.digest, "version": importlib.metadata.version("hoijax")}
    with contextlib.ExitStack() as stack:
        log = None
        for key in tqdm.tqdm(ids, desc="evaluating", unit="sample", disable=None if progress else True):
            try:
                record = predictions[key]
            except InputError as error:
                unusable[key] = str(error)
                continue
            digest = value_digest({"values": record.values, "arrays": record.arrays, **common})
            line = before.get(key)
            if line is None or line["digest"] != digest:
                try:
                    subject = source.load(key)
                except (InputError, OSError) as error:
                    broken[key] = str(error)
                    continue
                try:
                    state = state_of(record, subject.model, subject.template)
                    numbers = measure(state, subject, config)
                except InputError as error:
                    unusable[key] = str(error)
                    continue
                if not numbers:
                    unusable[key] = "it holds nothing that can be measured on this sample"
                    continue
                line = {"id": key, "digest": digest, "group": subject.group, "metrics": numbers}
                if log is None:
                    log = stack.enter_context(open(output_directory(out) / _PARTIAL, "a"))
                    log.write("\n")  # a torn line of a killed run ends here
                log.write(json.dumps(line | {"metrics": _nulls(numbers)}) + "\n")
                log.flush()
            finished[key] = {k: math.nan if v is None else v for k, v in line["metrics"].items()}
            groups[key] = line["group"]
    return finished, groups, unusable, broken


def _read_lines(out: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Samples that an earlier run measured; a torn last line counts as none."""
    lines = {}
    for name in (_SAMPLES, _PARTIAL):
        path = out / name
        for text in path.read_bytes().splitlines() if path.is_file() else ():
            try:
                line = json.loads(text)
                line = {key: line[key] for key in ("id", "digest", "group", "metrics")}
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(line["id"], str) and isinstance(line["group"], str) and _are_numbers(line["metrics"]):
                lines[line["id"]] = line
    return lines


def _write(
    out: pathlib.Path, source: TruthSource, report: Report, groups: Mapping[str, str], config: EvaluateConfig
) -> None:
    old = _read_lines(out)
    lines = [
        json.dumps({"id": key, "digest": old[key]["digest"], "group": groups[key], "metrics": _nulls(numbers)})
        for key, numbers in report.samples.items()
    ]
    counts = {"samples": len(source.ids), "evaluated": len(report.samples), "groups": len(set(groups.values()))}
    head = {"dataset": source.name, "split": source.split, **counts}
    lacking = {name: getattr(report, name) for name in ("missing", "extra", "unusable", "broken_truth")}
    version = {"hoijax": importlib.metadata.version("hoijax"), "numpy": np.__version__}
    write_text(out / _SAMPLES, "\n".join(lines) + "\n")
    write_text(
        out / "table.md", markdown(source.name, source.split, report.metrics, len(report.samples), len(source.ids))
    )
    write_json(
        out / "metrics.json",
        head | {"metrics": report.metrics, **lacking, "config": dataclasses.asdict(config), "version": version},
    )
    (out / _PARTIAL).unlink(missing_ok=True)


def _are_numbers(metrics: Any) -> bool:
    """Whether this can be the metrics of a sample: names with numbers, null where there is none."""
    return isinstance(metrics, dict) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in metrics.values()
    )


def _nulls(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in numbers.items()}
