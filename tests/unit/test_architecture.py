"""What may import what, and what the rooms may contain, read off the source.

Each rule is a function over syntax trees that returns what breaks it; the tests at the end show
each rule a file that does.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "stream_ewma"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60

BASE = "vocabulary"  # the modules beside the rooms
MAY_IMPORT = {
    BASE: set(),
    "smoothing": {BASE},
    "records": {BASE},
    "payloads": {BASE, "records.columns"},
    "engine": {BASE, "smoothing", "records", "payloads"},
    "settings": {BASE, "smoothing"},
    "kafka": {BASE, "records", "engine", "settings"},
    "service": {BASE, "smoothing", "records", "payloads", "engine", "settings", "kafka"},
    # The window onto a member: it shows what `service` says of itself, which knows nothing of it.
    "web": {BASE, "settings", "service", "kafka.partition", "engine.sample", "engine.stored"},
    "demo": {BASE, "web", "records", "payloads", "settings", "kafka", "service"},
    # Recorded data: the engine without Kafka, fed from files and configured as the service is.
    "files": {
        *(BASE, "smoothing", "records", "payloads", "engine", "settings"),
        "service.config",
    },
    "cli": {
        BASE,
        "settings",
        "kafka",
        "service",
        "demo",
        "web",
        "library",
        "files",
        *("engine.configuration", "engine.dead_letters", "engine.quantities", "engine.stored"),
        "engine.replayed",
    },
    "library": {
        BASE,
        "smoothing",
        "settings",
        "service",
    },  # stream_ewma/__init__.py: what users of Python import
}
ONLY_HERE = {
    "aiokafka": {"kafka"},
    "confluent_kafka": {"demo"},
    "psutil": {"demo"},
    "rich": {"demo", "cli"},
    "aiohttp": {"web"},
    "prometheus_client": {"service", "web"},
    "pyarrow": {"files"},
    "numba": {BASE},
    "llvmlite": {BASE},
    "argparse": {"cli", "demo"},
    "pydantic": {"settings", "cli"},
    "pydantic_settings": {"settings"},
    "yaml": {"settings"},
    "cramjam": {"records"},
    "crc32c": {"records"},
}
PURE = {"smoothing", "records", "payloads", "engine"}
FORBIDDEN_IN_PURE = {
    *("asyncio", "time", "threading", "concurrent", "multiprocessing", "queue", "contextvars"),
    *("os", "sys", "pathlib", "io", "socket", "ssl", "subprocess", "signal", "shutil", "tempfile"),
    *("logging", "warnings", "random", "secrets", "uuid", "pydantic", "pydantic_settings"),
}
CLOCK_CALLS = {"now", "utcnow", "today"}
# Where an import may wait until a function runs, for an optional extra.
DEFERRED_IMPORTS = {"cli.demo", "files.parquet"}
# Whether there is a desktop only the environment says.
READS_ENVIRONMENT = {"jit", "settings.sources", "demo.browser"}


@dataclass(frozen=True)
class Module:
    """One file; `name` is dotted below the package, as `records.reader`; `` is the package."""

    name: str
    source: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def room(self) -> str:
        return room_of(self.name)

    def imports(self) -> Iterator[str]:
        """Dotted names of what it imports; `from a import b` is `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def own_imports(self) -> set[str]:
        """Modules of the package that it imports, dotted below the package."""
        found = set()
        for name in self.imports():
            if name.partition(".")[0] == PACKAGE:
                below = name.removeprefix(PACKAGE).removeprefix(".")
                # What is no module is a name in one.
                found.add(below if below in NAMES else below.rpartition(".")[0])
        return found - {self.name}


def room_of(name: str) -> str:
    first = name.partition(".")[0]
    if name == "":
        return "library"
    if first == "__main__":
        return "cli"
    return first if first in MAY_IMPORT else BASE


def read_package() -> list[Module]:
    modules = []
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        modules.append(Module(name, file.read_text("utf-8")))
    return modules


NAMES = {module.name for module in read_package()}


def wrong_directions(module: Module) -> list[str]:
    """Imports against the one way."""
    allowed = MAY_IMPORT[module.room]
    found = []
    for name in sorted(module.own_imports()):
        room = room_of(name)
        if room != module.room and room not in allowed and name not in allowed:
            found.append(f"{module.name} imports {name}")
    return found


def foreign_imports(module: Module) -> list[str]:
    """Imports of libraries that belong to another room."""
    return [
        f"{module.name} imports {name}"
        for name in module.imports()
        if module.room not in ONLY_HERE.get(name.partition(".")[0], {module.room})
    ]


def impurities(module: Module) -> list[str]:
    """What a room of pure functions may not contain."""
    if module.room not in PURE:
        return []
    found = [name for name in module.imports() if name.partition(".")[0] in FORBIDDEN_IN_PURE]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            found.append(f"async in line {node.lineno}")
        if isinstance(node, ast.Attribute) and node.attr in {"random", *CLOCK_CALLS}:
            found.append(f".{node.attr} in line {node.lineno}")
        if isinstance(node, ast.Name) and node.id in {"open", "print", "input"}:
            found.append(f"{node.id} in line {node.lineno}")
        if isinstance(node, ast.Global):
            found.append(f"global in line {node.lineno}")
    return [f"{module.name}: {what}" for what in found]


def deferred_imports(module: Module) -> list[str]:
    """Imports inside functions."""
    if module.name in DEFERRED_IMPORTS:
        return []
    return [
        f"{module.name}: import in line {inner.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]


def environment_readers(module: Module) -> list[str]:
    """Reading the environment outside of the settings."""
    if module.name in READS_ENVIRONMENT:
        return []
    return [
        f"{module.name}: {node.attr} in line {node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    ]


def too_long(module: Module) -> list[str]:
    """Files and functions beyond what one reads in one go."""
    found = []
    lines = len(module.source.splitlines())
    if lines > MAX_FILE_LINES:
        found.append(f"{module.name} has {lines} lines")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                found.append(f"{module.name}.{node.name} has {length} lines")
    return found


def left_over(module: Module) -> list[str]:
    """Marks of unfinished or untested code."""
    marks = ("TODO", "FIXME", "XXX", "pragma: no cover")
    return [f"{module.name}: {mark}" for mark in marks if mark in module.source]


RULES: list[Callable[[Module], list[str]]] = [
    wrong_directions,
    foreign_imports,
    impurities,
    deferred_imports,
    environment_readers,
    too_long,
    left_over,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule: Callable[[Module], list[str]]):
    assert [breach for module in read_package() for breach in rule(module)] == []


def test_every_room_of_the_package_has_its_rule():
    rooms = {
        folder.name
        for folder in (ROOT / PACKAGE).iterdir()
        if folder.is_dir() and any(folder.glob("*.py"))
    }

    assert rooms <= MAY_IMPORT.keys()


def test_no_module_imports_itself_round_a_corner():
    imports = {module.name: module.own_imports() for module in read_package()}

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for other in sorted(imports[name]):
                visit(other, (*path, name))
            done.add(name)

    done: set[str] = set()
    for name in sorted(imports):
        visit(name, ())


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (wrong_directions, "smoothing.x", "from stream_ewma.records.columns import RecordColumns"),
        (wrong_directions, "records.x", "import stream_ewma.engine.task"),
        (wrong_directions, "payloads.x", "from stream_ewma.records.reader import decode"),
        (wrong_directions, "engine.x", "from stream_ewma import settings"),
        (wrong_directions, "engine.x", "from stream_ewma.kafka.errors import explain"),
        (wrong_directions, "kafka.x", "from stream_ewma.service.app import run_service"),
        (wrong_directions, "service.x", "from stream_ewma.cli import main"),
        (wrong_directions, "settings.x", "from stream_ewma.kafka.errors import explain"),
        (wrong_directions, "columns", "from stream_ewma.smoothing.state import KeyedState"),
        (foreign_imports, "service.x", "from aiokafka.errors import KafkaError"),
        (foreign_imports, "records.x", "import numba"),
        (foreign_imports, "engine.x", "import yaml"),
        (foreign_imports, "cli.x", "import pyarrow"),
        (wrong_directions, "files.x", "from stream_ewma.service.app import run_service"),
        (wrong_directions, "engine.x", "from stream_ewma.files.task import FileTask"),
        (impurities, "engine.x", "async def f(): pass"),
        (impurities, "engine.x", "import time"),
        (impurities, "records.x", "import logging"),
        (impurities, "records.x", "from os import path"),
        (impurities, "payloads.x", "from datetime import datetime\ndatetime.now()"),
        (impurities, "smoothing.x", "import numpy as np\nnp.random.default_rng()"),
        (impurities, "smoothing.x", "print(1)"),
        (impurities, "smoothing.x", "def f():\n    global x"),
        (deferred_imports, "service.x", "def f():\n    import json"),
        (deferred_imports, "service.x", "class A:\n    async def f(self):\n        import json"),
        (environment_readers, "kafka.x", "import os\nos.environ"),
        (environment_readers, "cli.x", "import os\nos.getenv('A')"),
        (too_long, "cli.x", "\n" * 401),
        (too_long, "cli.x", "def f():\n" + "    pass\n" * 60),
        (left_over, "cli.x", "# TODO: later"),
        (left_over, "cli.x", "x = 1  # pragma: no cover"),
    ],
)
def test_a_breach_is_found(rule: Callable[[Module], list[str]], name: str, source: str):
    assert len(rule(Module(name, source))) >= 1


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("payloads.x", "from stream_ewma.records.columns import RecordColumns"),
        ("engine.x", "from stream_ewma.smoothing.recursion import fold"),
        ("kafka.x", "from aiokafka import AIOKafkaConsumer"),
        ("cli.demo", "def f():\n    import psutil_free_extra"),
        ("settings.sources", "import os\nos.environ"),
        ("cli.x", "\n" * 400),
        ("cli.x", "def f():\n" + "    pass\n" * 59),
        ("service.x", "import time, logging\nasync def f(): pass"),
    ],
)
def test_what_keeps_the_rules_is_let_be(name: str, source: str):
    assert [breach for rule in RULES for breach in rule(Module(name, source))] == []
