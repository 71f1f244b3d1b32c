"""Names that recipes and filters cannot have, because they mean something."""

# What all other GANs start from, and the one GAN of all images with their labels.
BASE, CONDITIONAL = "base", "conditional"
# The GAN of all training patients' images without their labels (`gan.base_images: training`).
UNLABELLED = "unlabelled"
# What an arm's negatives are called that come from the latents of its positives. Such banks have a
# recipe that begins with it.
PAIRED = "paired"
# A folder beside those of recipes.
FILTER_LEAK = "filter_leak"
# The filter of an image that went through none.
NO_FILTER = "none"


def paired(recipe: str) -> str:
    """The recipe of the negatives that are drawn from the latents of a recipe's positives."""
    return f"{PAIRED}_{recipe}"


def paired_with(recipe: str) -> str | None:
    """The recipe of the positives that a recipe's negatives are paired with; None for others."""
    begin = f"{PAIRED}_"
    return recipe.removeprefix(begin) if recipe.startswith(begin) else None
