"""InteractAnything (arXiv 2505.24315): a sentence and any mesh in, interactions out."""
