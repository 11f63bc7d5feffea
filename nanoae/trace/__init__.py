"""One training step to follow with the finger: what the engine's own layers did, number by number."""
