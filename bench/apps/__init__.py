"""What the benchmark's workers run: ``faust -A bench.apps.worker worker`` and the router alone."""
