"""How good synthetic images are, measured against real ones."""
