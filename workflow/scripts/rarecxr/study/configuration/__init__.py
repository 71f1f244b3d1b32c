"""The configuration of a study, a module for each of its stages."""
