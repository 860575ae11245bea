"""Knossos server: packages game mods and runs the heavy jobs around them."""

__version__ = "0.1.0"
