"""Digital phantoms: the embedded data set."""
