"""Extraction: what one file says by itself.

`extract` parses a file once, walks its tree once and settles its names at the end; `repository.py`
settles what needs the other files. The rules are in docs/relations.md.
"""

import sys
from typing import Final

from graph_builder.entities import FileFacts
from graph_builder.extract_calls import visit_call, visit_keyword, visit_yield
from graph_builder.extract_definitions import (
    visit_class,
    visit_comprehension,
    visit_decorated,
    visit_function,
    visit_global,
    visit_lambda,
    visit_nonlocal,
)
from graph_builder.extract_imports import visit_future_import, visit_import, visit_import_from
from graph_builder.extract_names import visit_attribute, visit_identifier, visit_string
from graph_builder.extract_offsets import in_file
from graph_builder.extract_patterns import visit_match
from graph_builder.extract_settle import settle
from graph_builder.extract_syntax import named_kinds, num_syntax_errors, parse_parts
from graph_builder.extract_targets import (
    visit_as,
    visit_assignment,
    visit_augmented,
    visit_except,
    visit_for,
    visit_type_alias,
    visit_walrus,
)
from graph_builder.extract_walk import Handler, Walk, descend
from graph_builder.garbage import without_collection
from graph_builder.source_text import SourceText

# Kinds of node that are not here hold nothing: tokens, numbers, comments, `pass`.
_SPEAKING: Final[dict[str, Handler]] = {
    "as_pattern": visit_as,
    "assignment": visit_assignment,
    "attribute": visit_attribute,
    "augmented_assignment": visit_augmented,
    "call": visit_call,
    "class_definition": visit_class,
    "decorated_definition": visit_decorated,
    "dictionary_comprehension": visit_comprehension,
    "except_clause": visit_except,
    "except_group_clause": visit_except,
    "for_statement": visit_for,
    "function_definition": visit_function,
    "future_import_statement": visit_future_import,
    "generator_expression": visit_comprehension,
    "global_statement": visit_global,
    "identifier": visit_identifier,
    "import_from_statement": visit_import_from,
    "import_statement": visit_import,
    "keyword_argument": visit_keyword,
    "lambda": visit_lambda,
    "list_comprehension": visit_comprehension,
    "match_statement": visit_match,
    "named_expression": visit_walrus,
    "nonlocal_statement": visit_nonlocal,
    "set_comprehension": visit_comprehension,
    "string": visit_string,
    "type_alias_statement": visit_type_alias,
    "yield": visit_yield,
}
_SILENT: Final = [
    "ERROR",
    "argument_list",
    "assert_statement",
    "await",
    "binary_operator",
    "block",
    "boolean_operator",
    "chevron",
    "comparison_operator",
    "concatenated_string",
    "conditional_expression",
    "constrained_type",
    "delete_statement",
    "dictionary",
    "dictionary_splat",
    "elif_clause",
    "else_clause",
    "exec_statement",
    "expression_list",
    "expression_statement",
    "finally_clause",
    "format_expression",
    "format_specifier",
    "generic_type",
    "if_clause",
    "if_statement",
    "interpolation",
    "list",
    "list_splat",
    "member_type",
    "not_operator",
    "pair",
    "parenthesized_expression",
    "print_statement",
    "raise_statement",
    "return_statement",
    "set",
    "slice",
    "splat_type",
    "subscript",
    "try_statement",
    "tuple",
    "type",
    "type_parameter",
    "unary_operator",
    "union_type",
    "while_statement",
    "with_clause",
    "with_item",
    "with_statement",
]
_HANDLERS: Final[dict[str, Handler]] = dict.fromkeys(_SILENT, descend) | _SPEAKING
HANDLERS: Final[dict[int, Handler]] = {
    kind: _HANDLERS[name] for kind, name in named_kinds() if name in _HANDLERS
}

# Deeper nesting than this is generated code; Python's own default is reached by long chains.
RECURSION_LIMIT: Final = 20_000


def extract(path: str, module: str, source: SourceText) -> FileFacts:
    """Return what the file at `path`, the module `module`, says by itself.

    Every offset counts bytes of the file as it is. A file with syntax errors gives what its sound
    parts say.
    """
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    is_package = path.rpartition("/")[2] == "__init__.py"
    walk = Walk(module, is_package, source.utf8, HANDLERS)
    with without_collection():  # a third of the time
        trees = parse_parts(source.utf8)
        for tree in trees:
            walk.visit_children(tree.root_node, walk.root, None)
        facts = settle(walk, path, sum(map(num_syntax_errors, trees)))
    return in_file(facts, source)
