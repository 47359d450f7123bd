"""``make demo``: the whole service on this machine, from Kafka to a wallet and a business server.

``expectations``  the sample events, and which deliveries they must lead to
``board``         what has arrived, as a live table or as plain lines
``__main__``      starts everything, publishes, watches, and stops everything again
"""
