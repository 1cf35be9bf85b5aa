"""The tree as scripts/tidy.py sees it: its files, their code without comments and texts, their functions."""

import ast
import re
from functools import cached_property
from pathlib import Path

CPP = (".cpp", ".hpp", ".h", ".c")
PYTHON = (".py",)
TEXT = CPP + PYTHON + tuple(".md .txt .cmake .sh .toml .json .yaml .yml .def .map .in".split())

SKIPPED = (".git", ".cache", "__pycache__", "build")

# A comment, a raw string, a string or a character. An apostrophe after a digit separates digits.
_BLANK = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>\w*)\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)
_NOT_NEWLINE = re.compile(r"[^\n]")
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")


def _blanked(match):
    return _NOT_NEWLINE.sub(" ", match.group(0))


class File:
    """One file. `lines` counts from 0, as Python does; offences count from 1, as editors do."""

    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.full = path
        self.folder = self.path.split("/")[0] if "/" in self.path else ""
        self.suffix = path.suffix
        self.text = path.read_text(encoding="utf-8", errors="replace")

    @cached_property
    def lines(self):
        return self.text.split("\n")

    @cached_property
    def code(self):
        """C++ without comments and literals, line for line and column for column."""
        return _BLANK.sub(_blanked, self.text)

    @cached_property
    def code_lines(self):
        return self.code.split("\n")

    @cached_property
    def includes(self):
        """(line, is_system, name) of every #include."""
        return [
            (self.line_at(found.start()), found.group(1) == "<", found.group(2))
            for found in _INCLUDE.finditer(self.text)
        ]

    def line_at(self, offset):
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def functions(self):
        """(line, length in lines) of every function."""
        if self.suffix in PYTHON:
            return [
                (node.lineno, node.end_lineno - node.lineno + 1)
                for node in ast.walk(ast.parse(self.text))
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            ]
        return list(_cpp_functions(self))


def _cpp_functions(file):
    """Functions by their braces: what has parentheses and opens within namespaces and types only."""
    code = _DIRECTIVE.sub(_blanked, file.code)
    open_braces = []  # "scope", "body", or "value": a brace right behind what it initialises
    head = 0  # where the text before the next brace begins
    begin = None  # the line of the function that is open, and its depth
    for found in re.finditer(r"[{};]", code):
        mark = found.group(0)
        if mark == "{":
            before = code[head : found.start()]
            if code[found.start() - 1] not in " \n\t":
                open_braces.append("value")
                continue
            scope = "(" not in before and _SCOPE.search(before)
            if begin is None and not scope and "(" in before:
                start = head + len(before) - len(before.lstrip())
                begin = (file.line_at(start), len(open_braces))
            open_braces.append("scope" if scope else "body")
        elif mark == "}" and open_braces:
            if open_braces.pop() == "value":
                continue
            if begin and begin[1] == len(open_braces):
                yield begin[0], file.line_at(found.start()) - begin[0] + 1
                begin = None
        elif "value" in open_braces[-1:]:
            continue
        head = found.end()


class Tree:
    """All text files below `root`, build trees left out."""

    def __init__(self, root):
        self.root = Path(root).resolve()
        self.files = {}
        self.folders = []  # at the top
        self._walk(self.root)

    def _walk(self, folder):
        for path in sorted(folder.iterdir()):
            if path.is_symlink() or path.name in SKIPPED:
                continue
            if path.is_dir():
                if (path / "CMakeCache.txt").exists():
                    continue
                if folder == self.root:
                    self.folders.append(path.name)
                self._walk(path)
            elif path.suffix in TEXT or not path.suffix:
                file = File(self.root, path)
                self.files[file.path] = file

    def of(self, suffixes, folders=None):
        return [
            file
            for file in self.files.values()
            if file.suffix in suffixes and (folders is None or file.folder in folders)
        ]
