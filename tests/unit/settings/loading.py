"""Loads settings from what a test writes, apart from the machine's own environment and files."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from settings import Problem, Settings, SettingsError, load_settings

SEED = "SAX3AH622R2XT6DXWWSRIDCMMUCCMATBZ5U6XKJWDO7M2EJUBFC3AW5X"
SIGNING_KEY = "GDJLBYYKMCXNVVNABOE66NYXQGIA5AC5D223Z2KF6ZEYK4UBCA7FKLTG"
OTHER_SIGNING_KEY = "GD4C2QRT7YL4WJFJPYQCYRXEDBB7ERHC3XZGWR6KXKRHPEFXXNXIVNFY"


@dataclass(frozen=True)
class Loading:
    """One folder with, perhaps, a YAML file and a .env in it."""

    folder: Path

    def load(
        self, yaml: str | None = None, env: Mapping[str, str] | None = None, dotenv: str | None = None
    ) -> Settings:
        config_path = None
        if yaml is not None:
            config_path = self.folder / "anchor.yaml"
            config_path.write_text(textwrap.dedent(yaml), encoding="utf-8")
        dotenv_path = self.folder / ".env"
        dotenv_path.write_text(textwrap.dedent(dotenv or ""), encoding="utf-8")
        return load_settings(config_path, env or {}, dotenv_path)

    def problems(
        self, yaml: str | None = None, env: Mapping[str, str] | None = None, dotenv: str | None = None
    ) -> list[Problem]:
        with pytest.raises(SettingsError) as caught:
            self.load(yaml, env, dotenv)
        assert all(str(problem) in str(caught.value) for problem in caught.value.problems)
        return caught.value.problems

    def problem(
        self, yaml: str | None = None, env: Mapping[str, str] | None = None, dotenv: str | None = None
    ) -> Problem:
        problems = self.problems(yaml, env, dotenv)
        assert len(problems) == 1, problems
        return problems[0]


def keys(problems: list[Problem] | tuple[Problem, ...]) -> list[str]:
    return [problem.key for problem in problems]
