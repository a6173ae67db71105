"""InteractVLM: what is measured of it."""
