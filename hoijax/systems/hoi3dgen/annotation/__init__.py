"""Annotation of interactions: appearance, action and contact apart, one text from them, and what is good enough."""
