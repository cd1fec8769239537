"""Figures, the HTML report and the files of an explanation."""
