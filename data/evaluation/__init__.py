"""Scores anybody's predictions on a dataset: every number of `hoijax.metrics` that their contents allow.

    source = open_truth("synth_hoi", root="/data/tfds", split="test")
    report = evaluate(source, read_predictions("predictions/"), out="scores/")

docs/evaluate.md describes the files that predictions come in, the metrics and their conventions.
"""

from hoijax.data.evaluation.harness import Report, evaluate
from hoijax.data.evaluation.measures import GROUPS, EvaluateConfig, measure
from hoijax.data.evaluation.predictions import ARRAYS, Predictions, Record, read_predictions
from hoijax.data.evaluation.states import EvaluationState, SceneTruth, Subject, state_of
from hoijax.data.evaluation.truths import TRUTHS, TruthSource, open_truth

__all__ = [
    "ARRAYS",
    "GROUPS",
    "TRUTHS",
    "EvaluateConfig",
    "EvaluationState",
    "Predictions",
    "Record",
    "Report",
    "SceneTruth",
    "Subject",
    "TruthSource",
    "evaluate",
    "measure",
    "open_truth",
    "read_predictions",
    "state_of",
]
