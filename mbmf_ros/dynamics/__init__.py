"""The learned dynamics model: network or ensemble, training, validation, files."""
