"""Refinement on objects that nobody here made: furniture of a CC0 set, and meshes of other packages."""
