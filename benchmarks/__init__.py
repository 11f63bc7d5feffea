"""How fast nanoae is, beside PyTorch, JAX and scikit-learn: `python -m benchmarks --help`."""
