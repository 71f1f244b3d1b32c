"""Names that recipes and filters cannot have, because they mean something."""

# What all other GANs start from, and the one GAN of all images with their labels.
BASE, CONDITIONAL = "base", "conditional"
# A folder beside those of recipes.
FILTER_LEAK = "filter_leak"
# The filter of an image that went through none.
NO_FILTER = "none"
