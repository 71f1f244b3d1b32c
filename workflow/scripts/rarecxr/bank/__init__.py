"""Banks of synthetic images: generated, selected, stored and described."""
