"""How a model is stored at a quantization that nobody has made of it yet: which tensors, in which formats."""
