"""Wallets to start from: each receives, verifies and stores callbacks."""
