"""The explainers, one in each module."""
