"""Where models come from: config.json and the catalogue, to a core Model."""
