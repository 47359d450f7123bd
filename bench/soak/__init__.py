"""``python -m bench.soak``: hours of load with restarts and faults. Is all delivered, and does nothing grow?

``run``       the whole: broker, outside world, workers, churn, samples, the drain at the end
``world``     a process of its own: the anchor that publishes, the receivers, the ledger of both
``churn``     what happens to workers and receivers, and when, from a seed
``samples``   memory, descriptors, threads and CPU of each process, from ``/proc``
``results``   what one run found; ``verdicts`` judges it, ``document`` and ``plot`` write it to ``docs``

One worker is never restarted: it only sees the others come and go. Its memory is what is judged, as a restart
would hide a leak.
"""
