"""Where machines come from: NVML and the catalogue, to a core Machine."""
