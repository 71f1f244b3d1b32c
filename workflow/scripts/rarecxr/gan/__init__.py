"""The progressive-growing GAN: networks, losses, schedule and training."""
