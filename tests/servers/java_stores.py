"""Key and trust stores as Java people make them: with keytool, which comes with Java."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["JKS", "JCEKS", "PKCS12"]


def make_trust_store(path: Path, kind: Kind, password: str, *certificates: Path) -> Path:
    """A store of certificates to believe, each from a PEM file."""
    for number, certificate in enumerate(certificates):
        _keytool(
            *("-importcert", "-noprompt", "-alias", f"authority-{number}", "-file", certificate),
            *("-keystore", path, "-storetype", kind, "-storepass", password),
        )
    return path


def convert_key_store(source: Path, path: Path, kind: Kind, password: str, key_password: str) -> Path:
    """A PKCS12 store of the same ``password``, as another kind, its key locked with a password of its own."""
    _keytool(
        *("-importkeystore", "-noprompt", "-srckeystore", source, "-srcstoretype", "PKCS12"),
        *(
            "-srcstorepass",
            password,
            "-destkeystore",
            path,
            "-deststoretype",
            kind,
            "-deststorepass",
            password,
        ),
        *("-srcalias", "eventproc", "-destalias", "eventproc", "-destkeypass", key_password),
    )
    return path


def _keytool(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["keytool", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"keytool {arguments[0]} failed: {done.stdout}{done.stderr}")
