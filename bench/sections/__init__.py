"""The parts of the table: a new one is one file here and its line in ``__main__``."""
