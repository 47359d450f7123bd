"""``python -m bench``: what a worker does on this machine, and whether it is still as fast as it was.

``sections``      one module per part of the table; each starts what it measures and stops it
``lab``           Apache Kafka, the receiver, workers: what sections measure with
``window``        counts and CPU over a stretch of steady state
``passage``       a whole load from TRANSACTION to the receiver, at full speed, by one worker or more
``publisher``     events at a steady rate, with the moment of each
``bare_loop``     aiohttp alone, the limit that a sink is compared with
``results``       what was measured, as numbers with units; ``table``, ``targets`` and ``document`` read it
``apps``          the Faust apps that the workers run: the service itself, or its router alone
"""
