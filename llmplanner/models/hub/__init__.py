"""Models of the Hugging Face Hub by their id: config and headers only, in bounded requests."""
