"""Plug-ins for other packages."""
