"""HTML pages and figures that stand alone, shared by reports and comparisons."""
