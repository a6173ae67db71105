"""What all experiments share: the trainer, recipes, ablations, result pages, the record of the machine."""
