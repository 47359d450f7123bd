"""Inputs of kinds that failed in comparable systems, each with what is right; a test reads each file."""
