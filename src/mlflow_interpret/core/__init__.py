"""Data classes, options, errors and the storage format; imports no sibling."""
