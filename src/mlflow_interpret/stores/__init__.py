"""Destinations of explanations: delivery, the local spool, and one folder for each store."""
