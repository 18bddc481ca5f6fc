"""Checkpoints as frameworks write them: safetensors and PyTorch files, alone or in shards."""
