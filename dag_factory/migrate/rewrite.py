"""Rewrites the imports of a module, and finds in it what has no counterpart."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Final, NamedTuple

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider, QualifiedNameProvider, QualifiedNameSource

from dag_factory.migrate.counterparts import find_counterpart, telling_methods

__all__ = ["HERE", "Place", "Rewritten", "rewrite_module"]

HERE: Final = "dag_factory"

_THERE: Final = "azureml"

# what comes along with the script of a step, see runtime/standin
_COMES_ALONG: Final = frozenset({"Run", "Dataset", "Datastore", "Experiment", "Model", "Workspace"})

_DEEPEST: Final = 500

_VERSIONS: Final = frozenset({"VERSION", "__version__"})


class Place(NamedTuple):
    """Something that has no counterpart; line and column from 1."""

    line: int
    column: int
    length: int
    message: str


class Rewritten(NamedTuple):
    """What became of a module.

    :param text: its new text; the old one where there was nothing to do.
    :param places: what has no counterpart, in its order.
    :param is_step: it is the script of a step, and stays as it is.
    """

    text: str
    places: tuple[Place, ...]
    is_step: bool = False


def rewrite_module(text: str) -> Rewritten:
    """Return a module with imports of ``dag_factory`` instead of ``azureml``.

    The script of a step stays as it is: it imports ``azureml.core.Run`` and asks for its context, and nothing that does
    not come along with it.

    :raises SyntaxError: where it is no Python.
    :raises RecursionError: where it is nested too deeply.
    """
    if _THERE not in text:
        return Rewritten(text, ())
    _check_depth(ast.parse(text))
    wrapper = MetadataWrapper(cst.parse_module(text))
    survey = _Survey()
    wrapper.visit(survey)
    if not survey.imports:
        return Rewritten(text, ())
    if survey.asks_for_context and survey.imports <= _COMES_ALONG and not survey.modules:
        return Rewritten(text, (), is_step=True)
    changed = wrapper.visit(_Change(survey))
    return Rewritten(changed.code, tuple(sorted(set(survey.places))))


def _check_depth(tree: ast.AST) -> None:
    """Refuse what libcst's parser, which has no bounds, can't read without using up the stack."""
    layer: list[ast.AST] = [tree]
    for _ in range(_DEEPEST):
        layer = [child for node in layer for child in ast.iter_child_nodes(node)]
        if not layer:
            return
    raise RecursionError


class _Survey(cst.CSTVisitor):
    """Looks for what is imported of the SDK, and what is used of that.

    :ivar imports: the names of classes, and of modules that are imported as such.
    :ivar modules: the names that modules are bound to.
    :ivar kept: those of them that are used for more than what has a counterpart.
    """

    METADATA_DEPENDENCIES = (PositionProvider, QualifiedNameProvider)

    def __init__(self) -> None:
        super().__init__()
        self.imports: set[str] = set()
        self.modules: set[str] = set()
        self.kept: set[str] = set()
        self.asks_for_context = False
        self.places: list[Place] = []

    def visit_Import(self, node: cst.Import) -> None:  # noqa: N802 - libcst's name
        for alias in node.names:
            if _is_there(alias.name):
                self.imports.add(_dotted(alias.name))
                self.modules.add(_bound(alias))

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:  # noqa: N802 - libcst's name
        if not _is_from_there(node):
            return
        module = _dotted(node.module)
        if isinstance(node.names, cst.ImportStar):
            self.imports.add(module)
            self._note(node, f"expected names, found `*`: name what is used of {module}")
            return
        for alias in node.names:
            name = _dotted(alias.name)
            self.imports.add(name)
            if _new_name(name) is None:
                self._note(alias.name, _reason(module, name))

    def visit_Attribute(self, node: cst.Attribute) -> bool:  # noqa: N802 - libcst's name
        found = self._origin(node)
        if found is None:
            advice = telling_methods().get(node.attr.value)
            if advice is not None:
                self._note(node.attr, f"there is no {node.attr.value}() here: {advice}")
            return True
        parts = found.split(".")
        if parts[-1] == "get_context":
            self.asks_for_context = True
        method = find_counterpart(parts[-2])
        if method is not None:
            gone = method.find_method(parts[-1])
            if gone is not None and gone.status == "not there":
                self._note(node.attr, f"there is no {parts[-2]}.{parts[-1]} here: {gone.note}")
        elif (module := self._module_of(node)) is not None and _is_class(parts[-1]):
            self._note(node.attr, _reason(".".join(parts[:-1]), parts[-1]))
            self.kept.add(module)
        return True

    def _origin(self, node: cst.Attribute) -> str | None:
        if not isinstance(_root(node), cst.Name):  # of what a call returns, nobody knows
            return None
        for name in self.get_metadata(QualifiedNameProvider, node, ()):
            if name.source is QualifiedNameSource.IMPORT and name.name.split(".")[0] == _THERE:
                return str(name.name)
        return None

    def _module_of(self, node: cst.Attribute) -> str | None:
        root = _root(node)
        return root.value if isinstance(root, cst.Name) and root.value in self.modules else None

    def _note(self, node: cst.CSTNode, message: str) -> None:
        span = self.get_metadata(PositionProvider, node)
        length = span.end.column - span.start.column if span.end.line == span.start.line else 1
        self.places.append(Place(span.start.line, span.start.column + 1, max(1, length), message))


class _Change(cst.CSTTransformer):
    """Rewrites imports, and classes that are named by their module."""

    METADATA_DEPENDENCIES = (QualifiedNameProvider,)

    def __init__(self, survey: _Survey) -> None:
        super().__init__()
        self._modules = survey.modules
        self._kept = survey.kept

    def leave_SimpleStatementLine(  # noqa: N802 - libcst's name
        self, original_node: cst.SimpleStatementLine, updated_node: cst.SimpleStatementLine
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement]:
        del original_node
        statements = [part for item in updated_node.body for part in self._change(item)]
        if len(updated_node.body) > 1 or len(statements) == 1:
            return updated_node.with_changes(body=statements)
        first, *others = statements
        return cst.FlattenSentinel(
            [
                updated_node.with_changes(body=[first], trailing_whitespace=cst.TrailingWhitespace()),
                *(
                    updated_node.with_changes(
                        body=[other],
                        leading_lines=[],
                        trailing_whitespace=updated_node.trailing_whitespace,
                    )
                    for other in others
                ),
            ]
        )

    def leave_Attribute(  # noqa: N802 - libcst's name
        self, original_node: cst.Attribute, updated_node: cst.Attribute
    ) -> cst.BaseExpression:
        root = _root(original_node)
        if not isinstance(root, cst.Name) or root.value not in self._modules:
            return updated_node
        name = original_node.attr.value
        new = "__version__" if name in _VERSIONS else _new_name(name)
        for found in self.get_metadata(QualifiedNameProvider, original_node, ()):
            parts = found.name.split(".")
            if new is not None and parts[0] == _THERE and find_counterpart(parts[-2]) is None:
                return cst.Attribute(cst.Name(HERE), cst.Name(new))
        return updated_node

    def _change(self, statement: cst.BaseSmallStatement) -> Sequence[cst.BaseSmallStatement]:
        if isinstance(statement, cst.Import):
            return self._change_import(statement)
        if isinstance(statement, cst.ImportFrom) and _is_from_there(statement):
            return _change_from(statement)
        return [statement]

    def _change_import(self, statement: cst.Import) -> Sequence[cst.BaseSmallStatement]:
        ours = [alias for alias in statement.names if _is_there(alias.name)]
        if not ours:
            return [statement]
        new = cst.Import([cst.ImportAlias(cst.Name(HERE))])
        kept = [
            alias for alias in statement.names if not _is_there(alias.name) or _bound(alias) in self._kept
        ]
        if not kept:
            return [new]
        return [statement.with_changes(names=_list(kept)), new]


def _change_from(statement: cst.ImportFrom) -> Sequence[cst.BaseSmallStatement]:
    if isinstance(statement.names, cst.ImportStar):
        return [statement]
    gone = [alias for alias in statement.names if _new_name(_dotted(alias.name)) is None]
    carried = [_rename(alias) for alias in statement.names if _new_name(_dotted(alias.name)) is not None]
    if not carried:
        return [statement]
    if not gone:
        return [statement.with_changes(module=cst.Name(HERE), names=_list(carried, statement.lpar))]
    new = cst.ImportFrom(cst.Name(HERE), _list([alias.with_changes(comma=_COMMA) for alias in carried]))
    return [statement.with_changes(names=_list(gone, statement.lpar)), new]


_COMMA: Final = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))


def _rename(alias: cst.ImportAlias) -> cst.ImportAlias:
    old = _dotted(alias.name)
    new = _new_name(old)
    assert new is not None
    if new == old:
        return alias
    asname = alias.asname or cst.AsName(cst.Name(old))
    return alias.with_changes(name=cst.Name(new), asname=asname)


def _list(names: Sequence[cst.ImportAlias], lpar: object = None) -> Sequence[cst.ImportAlias]:
    """Return names with nothing after the last, unless it stands in parentheses."""
    if lpar is not None:
        return names
    return [*names[:-1], names[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)]


def _new_name(name: str) -> str | None:
    found = find_counterpart(name)
    return None if found is None else found.becomes


def _root(node: cst.BaseExpression) -> cst.BaseExpression:
    while isinstance(node, cst.Attribute):
        node = node.value
    return node


def _is_class(name: str) -> bool:
    """Tell whether a name is that of a class without a counterpart, and not of a module."""
    return name[:1].isupper() and name not in _VERSIONS and _new_name(name) is None


def _reason(module: str, name: str) -> str:
    found = find_counterpart(name)
    if found is not None:
        return f"there is no {name} here: {found.note}"
    return f"{module}.{name} has no counterpart here"


def _is_from_there(node: cst.ImportFrom) -> bool:
    return not node.relative and node.module is not None and _is_there(node.module)


def _is_there(node: cst.CSTNode) -> bool:
    return _dotted(node).split(".")[0] == _THERE


def _bound(alias: cst.ImportAlias) -> str:
    if alias.asname is not None:
        return _dotted(alias.asname.name)
    return _dotted(alias.name).split(".")[0]


def _dotted(node: cst.CSTNode | None) -> str:
    parts: list[str] = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if isinstance(node, cst.Name):
        parts.append(node.value)
    return ".".join(reversed(parts))
