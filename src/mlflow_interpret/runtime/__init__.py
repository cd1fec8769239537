"""Process-wide services: isolation, progress bars, messages and child processes."""
