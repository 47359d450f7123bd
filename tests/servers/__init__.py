"""What the tests and the demo start around the project: brokers, receivers, workers.

``kafka``     an embedded broker and Apache Kafka behind one ``Broker`` protocol
``receiver``  a wallet or a business server that verifies what it gets and misbehaves as told
``worker``    the real worker in a process of its own
"""
