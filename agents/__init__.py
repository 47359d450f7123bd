"""Faust wiring: which topic feeds what, and the pages. No branch about business lives here."""
