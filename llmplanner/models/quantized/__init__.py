"""What a quantization_config says, and the exact bytes of the checkpoint that it describes."""
