"""Computation of explanations from a fitted model and its rows."""
