"""Event delivery for a Stellar anchor.

The way of one event, step by step; each step is a module whose docstring begins with its number:

1. decode (``events``), 2. route (``routing``), 3. internal record (``records``): from the anchor's topic to a
topic per destination. 4. lanes (``lanes``), 5. body (``payloads``), 6. sign (``auth``), 7. send
(``http/sender``), 8. verdict (``outcomes``), 9. when again (``backoff``), 10. ack (``watermark``),
11. dead letter (``dead_letters``), 12. redrive (``redrive``): from there to the receiver.
"""
