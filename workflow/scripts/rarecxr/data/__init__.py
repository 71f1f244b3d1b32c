"""From the raw CSV and images to what is trained on."""
