"""The coverage benchmark: its cases, how they are run, and the report."""
