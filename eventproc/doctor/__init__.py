"""Looks at everything that a delivery needs, and says what is wrong and the way out.

``findings``     what a check says; pure
``kafka``        brokers, topics, the consumer group
``endpoint``     one destination: DNS, address, TCP, TLS, answer, clock
``signing_key``  the key against the anchor's stellar.toml
``examination``  all of them, side by side
"""
