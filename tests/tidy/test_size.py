"""STYLE: about 500 lines a module, 60 a function, 6 parameters, 100 columns."""

import ast
import re

from tests.tidy.source import ROOT, Module, modules, scripts

MODULE_LINES_MAX = 520  # "about 500"
FUNCTION_LINES_MAX = 60
PARAMETERS_MAX = 6
COLUMNS_MAX = 100
PROOF_CODE_MAX = 2_050  # what an auditor reads in an afternoon
PRAGMA = re.compile(r"  # (type: ignore|noqa).*")  # a word to a tool, not to a reader


def test_no_module_outgrows_its_room() -> None:
    sizes = {module.name: len(module.text.splitlines()) for module in modules()}

    assert {name: size for name, size in sizes.items() if size > MODULE_LINES_MAX} == {}


def test_an_auditor_can_read_what_checks_proofs_in_an_afternoon() -> None:
    """Lines of code: neither blank, nor comment, nor docstring."""
    code = sum(len(_lines_of_code(module)) for module in modules() if module.room == "proof")

    assert code < PROOF_CODE_MAX


def test_no_function_is_longer_than_a_screen() -> None:
    sizes = {
        f"{module.name}.{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for module in modules()
        for function in module.functions
    }

    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX} == {}


def test_no_function_takes_more_than_six_parameters() -> None:
    counts = {
        f"{module.name}.{function.name}": len(_parameters(function))
        for module in modules()
        for function in module.functions
    }

    assert {name: count for name, count in counts.items() if count > PARAMETERS_MAX} == {}


def test_no_line_of_code_is_wider_than_100_columns() -> None:
    wide = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in scripts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(PRAGMA.sub("", line)) > COLUMNS_MAX
    ]

    assert wide == []


def test_a_package_init_holds_names_and_a_docstring_only() -> None:
    plain = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    busy = [
        module.name
        for module in modules()
        if module.path.name == "__init__.py"
        and not all(isinstance(node, plain) for node in module.tree.body)
    ]

    assert busy == []


def test_every_module_says_what_it_is_for() -> None:
    mute = [module.name for module in modules() if not ast.get_docstring(module.tree)]

    assert mute == []


def _lines_of_code(module: Module) -> list[str]:
    told: set[int] = set()
    for node in module.nodes:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                told.update(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(map(str.strip, module.text.splitlines()), 1)
    return [line for at, line in lines if line and line[0] != "#" and at not in told]


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]
