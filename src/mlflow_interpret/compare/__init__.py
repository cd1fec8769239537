"""Explanations of several runs side by side."""
