"""Mutants of the modules that keep the promises, and the tests that have to kill them: ``make mutants``."""
