"""Shadow mode: what would have been sent, and how it compares with what another sender really sent.

Pure: ``records.py`` is the form in Kafka, ``capture.py`` reads requests captured elsewhere, ``compare.py``
tells two requests apart, ``proof.py`` checks who signed, ``diff.py`` puts them together, by a configuration's
``rules.py``.
"""
