"""Self-contained HTML pages and figures, shared by the report and the comparison."""
