"""One file per dialect of config.json."""
