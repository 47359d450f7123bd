"""``python -m bench``: what one worker does on this machine, and whether it is still as fast as it was.

``sections``      one module per part of the table; each starts what it measures and stops it
``lab``           Apache Kafka, the receiver, workers: what sections measure with
``window``        counts and CPU over a stretch of steady state
``bare_loop``     aiohttp alone, the limit that a sink is compared with
``results``       what was measured, as numbers with units; ``table`` and ``targets`` read it
``apps``          the Faust apps that the workers run: the service itself, or its router alone
"""
