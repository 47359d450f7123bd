"""One target under atheris: ``python -m tests.fuzz.by_coverage TARGET [libFuzzer's arguments]``."""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    import atheris

    fuzzer: Any = atheris
    with fuzzer.instrument_imports(include=["eventproc", "settings"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[sys.argv[1]]
    fuzzer.Setup([sys.argv[0], *sys.argv[2:]], target)
    fuzzer.Fuzz()


if __name__ == "__main__":
    main()
