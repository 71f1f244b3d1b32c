"""The study: its configuration, arms, findings, seeds and paths."""
