"""Builder of hoijax's free body; see build.py."""
