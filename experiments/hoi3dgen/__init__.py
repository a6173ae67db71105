"""HOI3DGen's training: a generator of pictures that obeys views."""
