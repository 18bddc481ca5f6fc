"""GGUF: what a file's header states, and the model that it tells of."""
