"""Banks of synthetic images: drawn, selected, stored and described."""
