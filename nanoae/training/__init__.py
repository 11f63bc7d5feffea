"""Training: the loop, schedules, callbacks, checkpoints and multi-process training."""
