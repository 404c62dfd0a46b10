"""Rules of the code that are checked instead of remembered: layers, sizes, banned calls, what is documented.

Where a rule is broken today the place is named in a ratchet below, with its measure; a ratchet only ever shrinks.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
PACKAGE = SOURCE / "penstock"
FILES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES = 500
FUNCTION_LINES = 70
RATCHET_FILE_LINES: dict[str, int] = {}
RATCHET_FUNCTION_LINES: dict[str, int] = {}

# Definitions that Penstock itself does not name: others call them, or tests look at them.
USED_FROM_OUTSIDE = {
    "AsgiApplication": "servers that mount a platform",
    "FREEZE": "the command line, by its value",
    "RESUME": "the command line, by its value",
    "initialize_client": "awslambdaric",
    "launcher_pid": "tests and the benchmark, to measure the launcher",
    "on_headers_complete": "httptools",
    "post_error": "awslambdaric",
    "post_invocation_result": "awslambdaric",
}

# What each layer may import of Penstock, beside itself and the version. Names are folders or modules under penstock/.
BELOW_ENGINE = {"base", "store", "engine"}
LAYERS: dict[str, set[str]] = {
    "": set(),  # penstock/__init__.py
    "base": set(),
    "settings": {"base"},
    "store": {"base"},
    "engine": {"base", "store"},
    "wire": BELOW_ENGINE,
    "services": BELOW_ENGINE,
    "deploy": BELOW_ENGINE,
    "runtime": BELOW_ENGINE,
    "platform": {*BELOW_ENGINE, "settings", "wire", "services", "deploy", "runtime"},
    "testing": {*BELOW_ENGINE, "settings", "wire", "services", "deploy", "runtime", "platform"},
    "console": {*BELOW_ENGINE, "settings", "platform"},
    "cli": {*BELOW_ENGINE, "settings", "wire", "deploy", "platform"},
    "__main__": {"cli"},
}

# The one home of what must not be called elsewhere, and what to use instead.
BANNED: dict[str, tuple[str, set[str]]] = {
    "time": ("penstock.base.clock", {"base/clock.py"}),
    "random": ("penstock.base.names", {"base/names.py"}),
    "uuid": ("penstock.base.names", {"base/names.py"}),
    "secrets": ("penstock.base.names.Names.secret", {"base/names.py"}),
    "os.urandom": ("penstock.base.names.Names.secret", {"base/names.py"}),
    "os.environ": ("penstock.settings.Settings.environment", {"settings.py"}),
    "os.environb": ("penstock.settings.Settings.environment", {"settings.py"}),
    "os.getenv": ("penstock.settings.Settings.environment", {"settings.py"}),
    "datetime.now": ("penstock.base.clock", set()),
    "datetime.utcnow": ("penstock.base.clock", set()),
    "date.today": ("penstock.base.clock", set()),
    "uuid4": ("penstock.base.names", set()),
}
# Files that run inside a function's own process, on Amazon's side of the Runtime API: not Penstock's process. They
# import nothing of Penstock, and the machine's clock and environment are the function's own.
INSIDE_FUNCTIONS = re.compile(r"^runtime/inside/")

# Lazy imports, each with its reason: the only places where a function imports.
LAZY_PLACES = {
    "engine/registry.py": "services are loaded by name when they are first called",
    "cli/up.py": "only `up` needs the platform, which takes longer to import than all other commands to run",
}
PATCHES = {"time.sleep", "mock.patch", "monkeypatch.setattr"}
BROAD = {"Exception", "BaseException"}


def name_of(path: Path) -> str:
    """The file's path under penstock/, as the tables above write it."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    """The parsed file, in which every node knows its parent."""
    tree = ast.parse(path.read_text(), str(path))
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            child.parent = node  # type: ignore[attr-defined]
    return tree


def parents(node: ast.AST) -> Iterator[ast.AST]:
    """Every node around this one, innermost first."""
    while (node := getattr(node, "parent", None)) is not None:
        yield node


def only_for_types(node: ast.AST) -> bool:
    """Whether it stands under ``if TYPE_CHECKING``."""
    return any(isinstance(each, ast.If) and "TYPE_CHECKING" in ast.unparse(each.test) for each in parents(node))


def imports_of(path: Path) -> Iterator[tuple[ast.stmt, str]]:
    """Every import statement with the full name of each module it names."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.level:
                raise AssertionError(f"{name_of(path)}:{node.lineno} imports relatively; write the whole name")
            yield node, node.module
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if module_file(whole):
                    yield node, whole


def module_file(module: str) -> Path | None:
    """The file of a module of Penstock, or None."""
    path = SOURCE.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def layer_of(module: str) -> str:
    """The layer of a module of Penstock: penstock.engine.journal → engine."""
    return module.split(".")[1] if "." in module else ""


def test_every_layer_is_known() -> None:
    layers = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert layers - {"__pycache__", "__init__"} <= set(LAYERS), "a new folder needs its place in LAYERS"


def test_imports_go_down_only() -> None:
    wrong = []
    for path in FILES:
        own = layer_of("penstock." + name_of(path).removesuffix(".py").replace("/", "."))
        own = "" if own == "__init__" else own
        for node, module in imports_of(path):
            if module.split(".")[0] != "penstock":
                continue
            other = layer_of(module)
            if other not in ("", own) and other not in LAYERS[own]:
                wrong.append(f"{name_of(path)}:{node.lineno}: {own or 'penstock'} must not import {module}")
    assert not wrong, "\n".join(wrong)


def test_a_service_never_imports_another_service() -> None:
    wrong = []
    for path in (PACKAGE / "services").rglob("*.py"):
        own = path.relative_to(PACKAGE / "services").parts[0]
        for node, module in imports_of(path):
            parts = module.split(".")
            if parts[:2] == ["penstock", "services"] and len(parts) > 2 and parts[2] != own:
                wrong.append(f"{name_of(path)}:{node.lineno}: imports {module}; use cx.call, cx.deliver or cx.source")
    assert not wrong, "\n".join(wrong)


def test_functions_do_not_import() -> None:
    wrong = []
    for path in FILES:
        if name_of(path) in LAZY_PLACES or INSIDE_FUNCTIONS.search(name_of(path)):
            continue
        for node, module in imports_of(path):
            if any(isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) for each in parents(node)):
                wrong.append(f"{name_of(path)}:{node.lineno}: imports {module} inside a function")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
                wrong.append(f"{name_of(path)}:{node.lineno}: {ast.unparse(node)}; only {', '.join(LAZY_PLACES)} may")
    assert not wrong, "\n".join(wrong)


def test_imports_are_not_circular() -> None:
    graph: dict[Path, set[Path]] = {}
    for path in FILES:
        targets = (module_file(module) for node, module in imports_of(path) if not only_for_types(node))
        graph[path] = {target for target in targets if target and target != path and target.name != "__init__.py"}
    done: set[Path] = set()

    def visit(path: Path, way: list[Path]) -> None:
        if path in way:
            circle = [*way[way.index(path) :], path]
            raise AssertionError("circular imports: " + " → ".join(name_of(each) for each in circle))
        if path not in done:
            for target in sorted(graph.get(path, ())):
                visit(target, [*way, path])
            done.add(path)

    for path in FILES:
        visit(path, [])


def test_every_library_that_is_imported_is_a_dependency() -> None:
    project = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=;\s]", each)[0] for each in project["dependencies"]}
    known_as = {"yaml": "pyyaml", "samtranslator": "aws-sam-translator"}
    wrong = []
    for path in FILES:
        if INSIDE_FUNCTIONS.search(name_of(path)):
            continue
        for node, module in imports_of(path):
            top = module.split(".")[0]
            if top != "penstock" and top not in sys.stdlib_module_names and known_as.get(top, top) not in declared:
                wrong.append(f"{name_of(path)}:{node.lineno}: {top} is not among the dependencies in pyproject.toml")
    assert not wrong, "\n".join(wrong)


def test_files_are_short() -> None:
    wrong = []
    for path in FILES:
        lines = len(path.read_text().splitlines())
        limit = RATCHET_FILE_LINES.get(name_of(path), FILE_LINES)
        if lines > limit:
            wrong.append(f"{name_of(path)} has {lines} lines; at most {limit}: divide it by noun")
    stale = [name for name in RATCHET_FILE_LINES if not (PACKAGE / name).is_file()]
    assert not wrong and not stale, "\n".join([*wrong, *stale])


def test_functions_fit_on_a_screen() -> None:
    wrong = []
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                name = f"{name_of(path)}:{node.name}"
                if lines > RATCHET_FUNCTION_LINES.get(name, FUNCTION_LINES):
                    wrong.append(f"{name} (line {node.lineno}) has {lines} lines; at most {FUNCTION_LINES}")
    assert not wrong, "\n".join(wrong)


def test_time_chance_and_environment_have_one_home() -> None:
    wrong = []
    for path in FILES:
        name = name_of(path)
        if INSIDE_FUNCTIONS.search(name):
            continue
        for node, module in imports_of(path):
            instead, homes = BANNED.get(module, ("", {name}))
            if name not in homes:
                wrong.append(f"{name}:{node.lineno}: imports {module}; use {instead}")
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    instead, homes = BANNED.get(f"{module}.{alias.name}", ("", {name}))
                    if name not in homes:
                        wrong.append(f"{name}:{node.lineno}: imports {module}.{alias.name}; use {instead}")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute):
                dotted = ".".join(ast.unparse(node).split(".")[-2:])
                instead, homes = BANNED.get(dotted, ("", {name}))
                if name not in homes:
                    wrong.append(f"{name}:{node.lineno}: {dotted}; use {instead}")
    assert not wrong, "\n".join(wrong)


def test_nothing_is_awaited_inside_a_transaction() -> None:
    """A work (what is given to transact, submit, attempt or read) and a ``def`` operation run to their end."""
    wrong = []
    for path in FILES:
        tree = tree_of(path)
        coroutines = {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if node.func.attr in ("transact", "submit", "attempt", "read") and isinstance(node.args[0], ast.Name):
                if node.args[0].id in coroutines:
                    wrong.append(f"{name_of(path)}:{node.lineno}: {node.func.attr} is given a coroutine function")
        for node in ast.walk(tree):
            if isinstance(node, ast.AsyncFunctionDef) and node.args.args and node.args.args[0].annotation is not None:
                if ast.unparse(node.args.args[0].annotation) in ("Context", "Transaction", "Reader"):
                    wrong.append(f"{name_of(path)}:{node.lineno}: async def {node.name} is given a transaction")
    assert not wrong, "\n".join(wrong)


def test_nothing_sleeps_and_nothing_is_patched() -> None:
    wrong = []
    for path in [*FILES, *sorted(Path(__file__).parent.rglob("*.py"))]:
        if path == Path(__file__) or path.name == "handler.py":  # a function under test may be as slow as it likes
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in PATCHES and not _sets_a_limit(node):
                where = path.relative_to(SOURCE.parent)
                wrong.append(f"{where}:{node.lineno}: {ast.unparse(node)}; wait for quiet, or advance the clock")
    assert not wrong, "\n".join(wrong)


def _sets_a_limit(node: ast.Attribute) -> bool:
    """Whether it lowers a named limit, such as ADVANCE_FIRINGS, to be reached by a test: no behaviour is replaced."""
    call = getattr(node, "parent", None)
    first = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return isinstance(first, ast.Constant) and str(first.value).rpartition(".")[2].isupper()


def test_no_broad_except_swallows() -> None:
    """A broad ``except`` re-raises or uses what it caught: logs it, records it, makes it an outcome."""
    wrong = []
    for path in FILES:
        if INSIDE_FUNCTIONS.search(name_of(path)):
            continue
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)} if node.type else BROAD
            if not caught & BROAD:
                continue
            inside = [each for statement in node.body for each in ast.walk(statement)]
            raises = any(isinstance(each, ast.Raise) for each in inside)
            uses = node.name and any(isinstance(each, ast.Name) and each.id == node.name for each in inside)
            records = any(isinstance(each, ast.Attribute) and each.attr == "exception" for each in inside)
            if not (raises or uses or records):
                wrong.append(f"{name_of(path)}:{node.lineno}: a broad except swallows what it catches")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
                if any(isinstance(each, ast.Name) and each.id in BROAD for each in node.args):
                    wrong.append(f"{name_of(path)}:{node.lineno}: suppress(Exception) swallows everything")
    assert not wrong, "\n".join(wrong)


def test_calls_that_nobody_made_are_the_platforms_own() -> None:
    """``Call.own`` says whose rights they have; only the wire makes calls for somebody else."""
    makers = {"engine/context.py", "wire/front.py"}
    wrong = [
        f"{name_of(path)}:{node.lineno}: Call(…); use Call.own"
        for path in FILES
        if name_of(path) not in makers
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Call"
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_keep_no_state() -> None:
    """Nothing at module level is an empty container waiting to be filled, and no function says ``global``."""
    wrong = []
    for path in FILES:
        if INSIDE_FUNCTIONS.search(name_of(path)):
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Global):
                wrong.append(f"{name_of(path)}:{node.lineno}: global {', '.join(node.names)}")
        for node in tree_of(path).body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            empty_literal = (isinstance(value, ast.Dict) and not value.keys) or (
                isinstance(value, ast.List) and not value.elts
            )
            made = isinstance(value, ast.Call) and not value.args and ast.unparse(value.func) in (
                "dict", "list", "set", "deque", "defaultdict", "WeakKeyDictionary", "WeakValueDictionary",
            )  # fmt: skip
            constant = isinstance(node, ast.AnnAssign) and "Mapping" in ast.unparse(node.annotation)
            if (empty_literal and not constant) or made:
                wrong.append(f"{name_of(path)}:{node.lineno}: module-level state: {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def definitions_in(path: Path) -> Iterator[tuple[str, int]]:
    """What a file defines (names and lines), but for functions that a decorator hands to somebody."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            handed = [ast.unparse(each).partition("(")[0] for each in node.decorator_list]
            if not {"operation", "app.command", "app.callback"}.intersection(handed):
                yield node.name, node.lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node.lineno) for target in targets if isinstance(target, ast.Name))


def test_what_is_defined_is_used() -> None:
    """Functions, classes, constants, settings of a class: one whose name stands nowhere else in the source is dead."""
    words = Counter(word for path in FILES for word in re.findall(r"\w+", path.read_text()))
    unused = [
        f"{path.relative_to(PACKAGE)}:{line} {name}"
        for path in FILES
        for name, line in definitions_in(path)
        if words[name] == 1 and name not in USED_FROM_OUTSIDE and not name.startswith("__")
    ]
    assert not unused, "delete these, or say in USED_FROM_OUTSIDE who uses them:\n" + "\n".join(unused)


def test_public_things_say_what_they_are() -> None:
    """Modules, public classes and public functions at module level have a docstring."""
    wrong = []
    for path in FILES:
        tree = tree_of(path)
        if not ast.get_docstring(tree) and tree.body:
            wrong.append(f"{name_of(path)}: no docstring")
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
                if any("overload" in ast.unparse(mark) for mark in node.decorator_list):
                    continue
                if not ast.get_docstring(node):
                    wrong.append(f"{name_of(path)}:{node.lineno}: {node.name} has no docstring")
    assert not wrong, "\n".join(wrong)


def services() -> list[str]:
    """The service folders."""
    return sorted(path.parent.name for path in (PACKAGE / "services").glob("*/__init__.py"))


def operations_in(folder: Path) -> dict[str, str]:
    """AWS's name of each function marked as an operation, and where it stands."""
    found = {}
    for path in folder.rglob("*.py"):
        for node in tree_of(path).body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                call = mark if isinstance(mark, ast.Call) else None
                if ast.unparse(call.func if call else mark) != "operation":
                    continue
                given = [each.value for each in (call.keywords if call else []) if each.arg == "name"]
                name = ast.literal_eval(given[0]) if given else "".join(w.capitalize() for w in node.name.split("_"))
                found[name] = f"{name_of(path)}:{node.lineno}"
    return found


def named_in(text: str) -> str:
    """The text with its short forms written out: "Put-, Get-, DeleteFunctionConcurrency", "…Config(s)"."""
    whole = [text]
    for first, last in re.findall(r"((?:[A-Z][a-z]+-, )+)([A-Z][A-Za-z]+(?:\(s\))?)", text):
        noun = re.sub(r"^[A-Z][a-z]+", "", last)
        whole += [verb + noun for verb in [*first.replace("-", "").split(", "), ""]]
    text = " ".join(whole)
    return f"{text.replace('(s)', 's')} {text.replace('(s)', '')}"


@pytest.mark.parametrize("service", services())
def test_every_operation_of_a_service_is_documented(service: str) -> None:
    folder = PACKAGE / "services" / service
    readme = folder / "README.md"
    assert readme.is_file(), f"services/{service} has no README.md: per operation what is executed, kept, refused"
    text = named_in(readme.read_text())
    missing = [f"{name} ({where})" for name, where in operations_in(folder).items() if name not in text]
    assert not missing, f"services/{service}/README.md says nothing of " + ", ".join(missing)


def test_names_say_what_they_mean() -> None:
    """No drawer for everything, and nothing is named after its kind."""
    banned = re.compile(r"(^|_)(utils?|helpers?|manager|impl|v2|misc|common)(_|$)")
    wrong = [name_of(path) for path in FILES if any(banned.search(part) for part in path.with_suffix("").parts[-2:])]
    assert not wrong, "\n".join(wrong)
