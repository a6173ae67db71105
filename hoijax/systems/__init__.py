"""The published systems, one folder each: everything that a user of the system runs, apart from its networks."""
