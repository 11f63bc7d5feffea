"""Benchmarks of nanoae against PyTorch, JAX and scikit-learn: `python -m benchmarks --help`."""
