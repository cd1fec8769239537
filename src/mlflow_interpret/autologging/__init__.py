"""Automatic explanations: observe fits, explain their models and log the explanations."""
