"""Interchange: models that leave nanoae, and weights that come in: ONNX, safetensors, PyTorch, plain arrays."""
