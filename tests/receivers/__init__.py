"""Receivers that we did not write: real servers, configured as their users do, see ``catalogue``.

``make receivers`` runs them all; the test run those that need no package of a registry.
"""
