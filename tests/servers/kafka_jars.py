"""The jars of Apache Kafka, fetched with Maven into ``.cache/`` of the checkout."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

KAFKA_VERSION = "4.1.0"
_CHECKOUT = Path(__file__).resolve().parents[2]
_POM = Path(__file__).with_name("kafka-pom.xml")


def missing_for_kafka() -> list[str]:
    """The commands that Apache Kafka needs and that are not on the PATH."""
    return [name for name in ("java", "mvn") if shutil.which(name) is None]


def classpath() -> str:
    """The Java class path of Apache Kafka; the first call of a checkout fetches it (5 s, 43 MB)."""
    return f"{_jar_directory()}/*"


def _jar_directory() -> Path:
    """The broker's jars, fetched once per checkout; renamed into place whole, as two runs may fetch at once."""
    jars = _CHECKOUT / ".cache" / f"kafka-{KAFKA_VERSION}"
    if jars.exists():
        return jars
    if missing := missing_for_kafka():
        raise RuntimeError(f"Apache Kafka needs {' and '.join(missing)} on the PATH; install them")
    jars.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix=f"{jars.name}.") as scratch:
        pom = Path(scratch) / "pom.xml"
        fetched = Path(scratch) / "jars"
        shutil.copy(_POM, pom)
        command = [
            "mvn",
            "-q",
            "-B",
            "-f",
            str(pom),
            "dependency:copy-dependencies",
            f"-DoutputDirectory={fetched}",
        ]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode:
            raise RuntimeError(
                f"Maven could not fetch Apache Kafka {KAFKA_VERSION}: {done.stdout}{done.stderr}"
            )
        try:
            fetched.rename(jars)
        except OSError:
            if not jars.exists():  # else another run was faster, and its copy is as good
                raise
    return jars
