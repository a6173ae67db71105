"""Scores predictions on a dataset: every metric that their contents allow, per sample and with bootstrap intervals.

PREDICTIONS is a folder with one .npz per sample, named by the sample's id, or one .npz of stacked arrays with `ids`; in
them any of the field's parameter keys (global_orient, body_pose, ..., obj_rot, obj_trans), and vertices, joints,
object_vertices, contact_body, contact_object. docs/evaluate.md has the rest. A stopped run goes on where it was.
"""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of `hoijax evaluate`."""

    predictions: pathlib.Path
    """Folder of .npz files, or one .npz with `ids`."""
    dataset: str
    """synth_hoi, behave, intercap, ...; or files: a truth in the format of predictions."""
    root: pathlib.Path
    """Where the dataset lies."""
    out: pathlib.Path
    """Folder for metrics.json, samples.jsonl and table.md."""
    split: str = "test"
    """Split of the dataset."""
    body_model: pathlib.Path | None = None
    """File or folder of the body that the dataset's parameters belong to; SynthHOI needs none."""
    metrics: tuple[str, ...] = ("body", "object", "surface", "contact", "affordance", "penetration", "scene")
    """Groups of metrics to compute; penetration takes most of the time."""
    contact_thresholds: tuple[float, ...] = (0.05,)
    """Distances in metres under which body and object are in contact."""
    probability: float = 0.5
    """Predicted contact probabilities above it are contacts."""
    chamfer_samples: int = 6000
    """Surface samples per mesh; numbers with other samples are not comparable."""
    level: float = 0.95
    """Of the bootstrap intervals."""
    resamples: int = 1000
    """Of the bootstrap."""
    by: str = "sequence"
    """What the bootstrap draws: sequence (frames of one video are alike), or sample."""
    seed: int = 0
    """Of surface samples and the bootstrap."""


def run(options: Options) -> int:
    """Checks, measures, writes, prints the table.

    Args:
      options: see `Options`.

    Returns:
      0; 1 if samples are missing, predictions belong to no sample or cannot be used; each is named.

    Raises:
      InputError: nothing can be evaluated; nothing is written.
    """
    import sys

    from hoijax.data.evaluation import EvaluateConfig, evaluate, open_truth, read_predictions
    from hoijax.io import check_output_directory

    check_output_directory(options.out)
    names = {field.name for field in dataclasses.fields(EvaluateConfig)}
    config = EvaluateConfig(**{k: v for k, v in vars(options).items() if k in names})
    predictions = read_predictions(options.predictions)
    source = open_truth(options.dataset, root=options.root, split=options.split, body_model=options.body_model)
    report = evaluate(source, predictions, options.out, config)
    print((options.out / "table.md").read_text())
    named = {
        "no prediction": dict.fromkeys(report.missing, ""),
        "no such sample": dict.fromkeys(report.extra, ""),
        "not used": report.unusable,
        "truth not usable": report.broken_truth,
    }
    for what, items in named.items():
        for key, text in list(items.items())[:20]:
            print(f"{what}: {key}{': ' if text else ''}{text}", file=sys.stderr)
        if len(items) > 20:
            print(f"{what}: {len(items) - 20} more, see metrics.json", file=sys.stderr)
    print(f"results: {options.out}")
    return 0 if report.complete else 1
