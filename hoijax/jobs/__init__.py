"""Jobs: items are read, checked, refined or reconstructed, and written; the verbs of `hoijax.cli` call them."""
