"""InteractAnything's experiments: the fifty prompts, meshes that nobody here made, ablations."""
