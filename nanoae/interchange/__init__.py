"""Interchange: export of models and import of weights: ONNX, safetensors, PyTorch, plain arrays."""
