"""The finding classifier: data, model and training."""
