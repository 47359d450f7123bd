"""What the documents name exists, what they show runs, and where they point there is something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from agents.pages import FAUST_PAGES, PAGES
from eventproc import records
from eventproc.cli.main import main
from eventproc.outcomes import REJECTING_STATUSES
from settings import load_settings
from settings.keys import all_keys, sections
from settings.sources import CONFIG_VARIABLES
from tests.servers.anchor_env import TEST_SEED

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    CHECKOUT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "docs/architecture.md",
        "docs/operations.md",
        "docs/deployment.md",
        "docs/migrating-from-anchor-platform.md",
        "docs/scale.md",
        "docs/soak.md",
    )
] + [CHECKOUT / "docs" / "performance.md", CHECKOUT / "docs" / "receiving.md"]
RECEIVING = CHECKOUT / "docs" / "receiving.md"
OPERATIONS = CHECKOUT / "docs" / "operations.md"
ARCHITECTURE = CHECKOUT / "docs" / "architecture.md"
README = CHECKOUT / "README.md"
SECURITY = CHECKOUT / "SECURITY.md"

# Capitals with an underscore that are no variables of ours.
FOREIGN_NAMES = {
    "FAUST_LOOP",
    "AWS_ACCESS_KEY_ID",
    "AWS_REGION",
    "SASL_SSL",
    "SASL_PLAINTEXT",
    "SIGNING_KEY",
    "AUTH_TYPES",
    "SECRET_",
    "ANCHOR_SIGNING_KEY",
    "CALLBACK_HOST",
    "HTTP_SIGNATURE",
    "DATA_UPLOAD_MAX_MEMORY_SIZE",
    "MAX_CONTENT_LENGTH",
    "SERVER_NAME",
    "SPKI_PREFIX",
    "UTF_8",
    # OpenTelemetry's own.
    "OTEL_",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_SAMPLER",
}

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


@each_document
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


@each_document
def test_every_make_target_exists(path: Path) -> None:
    makefile = (CHECKOUT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {command.split()[1] for command in _commands(path, "make")} <= targets


@each_document
def test_every_command_of_ours_exists_with_its_options(path: Path) -> None:
    for command in _commands(path, "eventproc"):
        found, options, help_text = _resolve(command.split()[1:])
        assert found, f"{command}: no such command"
        for option in options:
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text), f"{command}: no {option}"


@each_document
def test_every_faust_command_is_the_worker_s(path: Path) -> None:
    commands = set(_commands(path, "faust"))
    assert all(
        re.fullmatch(r"faust (--datadir /tmp/eventproc )?-A eventproc\.app worker -l info", c)
        for c in commands
    )


def test_the_procfile_starts_what_the_readme_says() -> None:
    assert (
        (CHECKOUT / "Procfile").read_text("utf-8").startswith("worker: faust -A eventproc.app worker -l info")
    )


@each_document
def test_every_key_exists(path: Path) -> None:
    tops = {name.partition(".")[0] for name in all_keys()}
    known = (
        set(all_keys()) | set(sections()) | {alias for key in all_keys().values() for alias in key.aliases}
    )
    named = set()
    for code in _inline_code(path):
        name = code.partition(":")[0].strip()
        if re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", name) and name.partition(".")[0] in tops:
            named.add(name)
    assert {name for name in named if not name.endswith((".py", ".yaml", ".md"))} - known - _logged() == set()


@each_document
def test_every_variable_exists(path: Path) -> None:
    known = {variable for key in all_keys().values() for variable in key.variables} | set(CONFIG_VARIABLES)
    known |= {f"{variable}_FILE" for variable in known if variable.startswith("SECRET_")}
    text = "\n".join([*_inline_code(path), *(code for _, code in _blocks(path))])
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]*", text))
    assert named - known - FOREIGN_NAMES == set()


def test_the_yaml_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    (block,) = [code for language, code in _blocks(README) if language == "yaml"]
    file, empty = tmp_path / "anchor.yaml", tmp_path / ".env"
    empty.touch()
    file.write_text(block, "utf-8")
    env = {
        "SECRET_SEP10_SIGNING_SEED": TEST_SEED,
        "SECRET_CALLBACK_API_AUTH_SECRET": "x" * 32,
        "SECRET_SEP24_MORE_INFO_URL_JWT_SECRET": "x" * 32,
        "SECRET_EVENTS_QUEUE_KAFKA_USERNAME": "user",
        "SECRET_EVENTS_QUEUE_KAFKA_PASSWORD": "password",
    }
    settings = load_settings(file, env, empty)
    assert settings.warnings == ()
    assert [client.name for client in settings.clients] == ["lobstr"]


def test_the_environment_of_the_readme_is_a_configuration(tmp_path: Path) -> None:
    (block,) = [code for language, code in _blocks(README) if language == "dotenv"]
    file = tmp_path / ".env"
    file.write_text(block.replace("S…", TEST_SEED), "utf-8")
    settings = load_settings(None, {}, file)
    assert settings.warnings == ()
    assert settings.callback_api.auth.type == "api_key"


def test_every_way_into_kafka_in_operations_is_a_configuration(tmp_path: Path) -> None:
    blocks = [code for _, code in _blocks(OPERATIONS) if "_SECURITY_PROTOCOL=" in code]
    protocols = set()
    for block in blocks:
        for path in re.findall(r"=/.*/(.+)", block):
            (tmp_path / path).write_text("a secret, or what stands for a store")
        dotenv = tmp_path / ".env"
        dotenv.write_text(re.sub(r"=/.*/", f"={tmp_path}/", block), "utf-8")
        kafka = load_settings(None, {}, dotenv).events.queue.kafka
        assert not kafka.uses_sasl or kafka.password is not None
        protocols.add(kafka.security_protocol)
    assert protocols == {"SASL_SSL", "SSL", "SASL_PLAINTEXT"}


@each_document
def test_every_json_and_yaml_block_parses(path: Path) -> None:
    for language, code in _blocks(path):
        if language in {"json", "yaml"}:
            yaml.safe_load(code)


def test_the_statuses_that_refuse_an_event_are_the_code_s() -> None:
    for path in (README, RECEIVING, OPERATIONS, ARCHITECTURE):
        lists = re.findall(r"\b400(?:(?:, | and | or )\d{3})+", path.read_text("utf-8"))
        assert lists, path
        for listed in lists:
            assert {int(status) for status in re.findall(r"\d{3}", listed)} == set(REJECTING_STATUSES), path


def test_every_log_event_is_in_operations_and_no_other() -> None:
    table = _section(OPERATIONS, "Logs")
    assert set(re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)) == _logged()


def test_the_readme_lists_every_page() -> None:
    listed = set(re.findall(r"^\| `(/[^`]*)`", _section(README, "Start it"), re.MULTILINE))
    known = {re.sub(r"\{(\w+)(?::[^}]*)?\}", r"<\1>", path) for path in PAGES} | {
        f"{path}/" for path in FAUST_PAGES
    }
    assert listed == known - {"/static/<name>", "/logout"}


def test_every_function_on_the_way_of_an_event_exists() -> None:
    named = re.findall(
        r"`((?:agents|eventproc)/[a-z_/]+\.py)` ((?:`[A-Za-z_.]+`(?:, )?)+)", ARCHITECTURE.read_text("utf-8")
    )
    assert len(named) >= 15
    for file, names in named:
        source = (CHECKOUT / file).read_text("utf-8")
        for name in re.findall(r"`([A-Za-z_.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"\b(?:class|def) {part}\b", source), f"{file}: no {name}"


@each_document
def test_every_source_file_named_exists(path: Path) -> None:
    for code in _inline_code(path):
        if re.fullmatch(r"(?:agents|eventproc|settings|docs|tests)(?:/[a-z0-9_]+)+\.(?:py|yaml|md)", code):
            assert (CHECKOUT / code).is_file(), code


def test_the_headers_named_are_sent() -> None:
    request = (CHECKOUT / "eventproc/delivery/request.py").read_text("utf-8")
    for header in ("X-Event-Id", "X-Event-Redriven", "Content-Type"):
        assert f'"{header}"' in request
        assert f"`{header}`" in RECEIVING.read_text("utf-8")
    assert records.REDRIVEN == "redriven"


def test_every_threat_has_tests_that_exist() -> None:
    _heading, _line, *rows = [
        line for line in _section(SECURITY, "What is defended, and how").splitlines() if line.startswith("|")
    ]
    for row in rows:
        named = re.findall(r"\[`(test_\w+)`\]\((tests/[\w/]+\.py)\)", row)
        assert named, row
        for name, file in named:
            found = re.search(
                rf"^(?:async )?def {name}\(", (CHECKOUT / file).read_text("utf-8"), re.MULTILINE
            )
            assert found, f"{file} has no {name}"


def test_the_license_is_apache_2() -> None:
    text = (CHECKOUT / "LICENSE").read_text("utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def _logged() -> set[str]:
    """The names of the events that the code logs."""
    call = re.compile(r"\blog\.(?:debug|info|warning|error|critical|exception)\(\s*\"([a-z_.]+)\"")
    sources = [path for package in ("agents", "eventproc") for path in (CHECKOUT / package).rglob("*.py")]
    return {name for path in sources for name in call.findall(path.read_text("utf-8"))}


def _resolve(words: list[str]) -> tuple[bool, list[str], str]:
    """Whether the words lead to a command, the options named, and the help of all commands on the way."""
    command: click.Command = main
    path: list[str] = []
    texts = [_help(path)]
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-") or word in {"FILE", "PATH"}:
            continue
        if word not in command.commands:
            return False, options, ""
        command = command.commands[word]
        path.append(word)
        texts.append(_help(path))
    return True, options, "\n".join(texts)


def _help(path: list[str]) -> str:
    result = CliRunner().invoke(main, [*path, "--help"])
    assert result.exit_code == 0
    return result.output


def _commands(path: Path, program: str) -> Iterator[str]:
    """Commands in code, without comments and what follows a shell's operator."""
    shell = [line for language, code in _blocks(path) if language == "sh" for line in code.splitlines()]
    for code in [*shell, *_inline_code(path)]:
        for part in re.split(r"&&|\||;", code.partition(" #")[0]):
            words = part.split()
            if words[:1] == [program] and len(words) > 1:
                yield " ".join(words).replace("list|show|redrive", "list")


def _blocks(path: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```([a-z]*)\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def _inline_code(path: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def _section(path: Path, title: str) -> str:
    return path.read_text("utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
