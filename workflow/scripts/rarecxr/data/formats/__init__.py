"""Readers of data sets as their publishers ship them: one module a format."""
