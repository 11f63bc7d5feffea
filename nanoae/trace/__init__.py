"""One training step, number by number, as computed by the engine's own layers."""
