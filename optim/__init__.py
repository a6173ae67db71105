"""Optimisation: `gradient` is the batched refiner of interactions."""
