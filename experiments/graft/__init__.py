"""GRAFT's experiments: training queries, losses, and the training run (docs/graft.md)."""
