#!/usr/bin/env python3
"""Rules about the source itself, as a test: layers, sizes, memory orders, banned words, dead files.

  scripts/tidy.py [root]     prints each offence as path:line: what to do, and ends with 1 if there is any

The rules' data and their exceptions are in scripts/tidy.toml. Standard library only. tests/tidy plants an
offence against each rule and sees that it is found.
"""

import re
import sys
import tomllib
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

from tidy_source import CPP, PYTHON, Tree

PRODUCT = ("shm", "router", "proxy", "loadtest", "fake_server")
POSIX = re.compile(
    r"(sys|arpa|netinet|net|linux)/"
    r"|(unistd|fcntl|poll|netdb|signal|pthread|sched|spawn|dirent|grp|pwd|semaphore)\.h$"
)
STANDARD = re.compile(
    r"[a-z_]+$|(time|stddef|stdint|stdio|stdlib|string|limits|errno|stdbool|ucontext)\.h$"
)
IMPURE_HEADERS = re.compile(
    r"(thread|fstream|filesystem|iostream|mutex|condition_variable|future|csignal)$|boost/asio/(?!buffer)"
)
IMPURE_CALLS = re.compile(r"(::|\b)now\s*\(\s*\)|\brandom_device\b|\bgetenv\b|\bstd::time\s*\(")
ORDER = re.compile(r"\bmemory_order_\w+")
ORDER_NAME = re.compile(r"\bconstexpr\s+(?:auto|std::memory_order)\s+(k\w+)\s*=\s*std::memory_order_")
ORDER_TAG = re.compile(r"\bORDER\((\w+)\)")
ATOMIC_CALL = re.compile(
    r"(?:\.|->)(load|store|exchange|fetch_\w+|compare_exchange_\w+|test_and_set)\s*\("
)
ATOMIC_NAME = re.compile(r"\bstd::atomic(?:<[^;{}()]*>|_\w+)\s+(\w+)")
TEST_NAME = re.compile(
    r'\b(?:TEST_CASE|SCENARIO|TEST_CASE_METHOD)\s*\((?:\s*\w+\s*,)?\s*"((?:[^"\\]|\\.)*)"'
)
LINK = re.compile(r"(?<!!)\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
URL = re.compile(r"\bhttps?://([A-Za-z0-9.-]*[A-Za-z0-9])")
MADE_UP_HOST = re.compile(r"\.(test|example|invalid)$|^([\w-]+\.)*example\.(com|org|net)$|^[\d.]+$")
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
MENTION = re.compile(r"(?<![\w/.])docs/[\w/-]+\.(?:md|yaml)\b")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
HEADER_LIST = re.compile(r"\bweir_library\([^)]*\bHEADERS\b([^)]*?)(?:\b[A-Z_]*LIBS\b|\))")
RULES = []


def rule(check):
    RULES.append(check)
    return check


def matches(path, patterns):
    return any(fnmatch(path, pattern) for pattern in patterns)


@rule
def top_level_folders(tree, rules):
    for name in tree.folders:
        if not name.startswith(".") and name not in rules["layers"]:
            yield name, 1, "no folder of the house: put it into one of those in scripts/tidy.toml"


@rule
def layers(tree, rules):
    for file in tree.of(CPP):
        allowed = rules["layers"].get(file.folder, [])
        for line, system, name in file.includes:
            folder = name.split("/")[0]
            if not system and "/" in name and folder not in allowed:
                yield file.path, line, f"{file.folder}/ may not include {folder}/: it is not below it"


@rule
def libraries(tree, rules):
    for file in tree.of(CPP):
        allowed = rules["libraries"].get(file.folder, []) + rules["libraries"].get(file.path, [])
        for line, system, name in file.includes:
            if not system or STANDARD.match(name) or POSIX.match(name):
                continue
            if not name.startswith(tuple(allowed)):
                yield file.path, line, f"<{name}> is no library of {file.folder}/ (scripts/tidy.toml)"


@rule
def pure_files(tree, rules):
    for file in tree.of(CPP, PRODUCT):
        if matches(file.path, rules["drivers"]["files"]):
            continue
        for line, system, name in file.includes:
            if system and (POSIX.match(name) or IMPURE_HEADERS.match(name)):
                yield file.path, line, f"<{name}> in a pure file: let a driver do it"
        for found in IMPURE_CALLS.finditer(file.code):
            yield file.path, file.line_at(found.start()), f"{found.group(0)} in a pure file: pass it in"


@rule
def public_headers(tree, rules):
    """What is installed includes only what is installed; and shm's part of it names nobody else's library."""
    installed = set()
    for lists in tree.of((".txt",), ("shm", "router")):
        folder = Path(lists.path).parent.as_posix()
        for found in HEADER_LIST.finditer(lists.text):
            installed |= {f"{folder}/{name}" for name in found.group(1).split()}
    for path in sorted(installed & tree.files.keys()):
        file = tree.files[path]
        for line, system, name in file.includes:
            if not system and name not in installed:
                yield path, line, f"a public header includes {name}, which is not installed"
        for line, code in enumerate(file.code_lines, 1):
            if file.folder == "shm" and re.search(r"\bboost\b|\bfmt::", code):
                yield path, line, "a public header of shm/ names a library of others: hide it in a .cpp"


@rule
def own_header_first(tree, rules):
    for file in tree.of((".cpp",), PRODUCT):
        own = file.path.removesuffix(".cpp") + ".hpp"
        if own in tree.files and file.includes and file.includes[0][2] != own:
            yield file.path, file.includes[0][0], f'"{own}" comes first: so it is seen to stand alone'


@rule
def headers(tree, rules):
    for file in tree.of((".hpp",)):
        if "#pragma once" not in file.lines:
            yield file.path, 1, "#pragma once is missing"
        for line, code in enumerate(file.code_lines, 1):
            if re.match(r"\s*using namespace\b", code) and file.folder != "tests":
                yield file.path, line, "no using namespace in a header"


@rule
def line_form(tree, rules):
    columns = rules["limits"]["columns"]
    allowed = rules["ratchet"]["columns"]
    for file in tree.files.values():
        long = []
        for number, line in enumerate(file.lines, 1):
            if "\t" in line and not (file.suffix == ".map" or file.path.startswith(".git")):
                yield file.path, number, "a tab: use blanks"
            if line.endswith((" ", "\r")):
                yield file.path, number, "blanks at the end of the line"
            if len(line) > columns and (file.suffix in CPP + PYTHON + (".txt", ".cmake")):
                long.append(number)
        if len(long) > allowed.get(file.path, 0):
            yield file.path, long[-1], f"more than {columns} columns ({len(long)} such lines)"
        if file.text and not file.text.endswith("\n"):
            yield file.path, len(file.lines), "no newline at the end of the file"


@rule
def sizes(tree, rules):
    for file in tree.of(CPP + PYTHON):
        most = rules["ratchet"]["file_lines"].get(file.path, rules["limits"]["file_lines"])
        if len(file.lines) - 1 > most:
            yield file.path, 1, f"{len(file.lines) - 1} lines; at most {most}: one noun a file"
        most = rules["ratchet"]["function_lines"].get(file.path, rules["limits"]["function_lines"])
        for line, length in file.functions:
            if length > most:
                yield file.path, line, f"a function of {length} lines; at most {most}"


@rule
def stale_exceptions(tree, rules):
    """An exception for what is not there any more hides the next offence."""
    named = [*rules["untested"], *rules["tested_by"], *rules["dead"]["files"]]
    named += [path for kind in rules["ratchet"].values() for path in kind]
    named += [path for path in rules["libraries"] if "/" in path]
    for path in named:
        if path not in tree.files:
            yield "scripts/tidy.toml", 1, f"an exception for {path}, which is not there"
    for pattern in rules["drivers"]["files"] + rules["atomics"]["files"]:
        if not any(fnmatch(path, pattern) for path in tree.files):
            yield "scripts/tidy.toml", 1, f"an exception for {pattern}, which matches nothing"


@rule
def memory_orders(tree, rules):
    tags = defaultdict(list)
    for file in tree.of(CPP):
        names = set(ORDER_NAME.findall(file.code)) - explained_names(file)
        uses = re.compile("|".join([ORDER.pattern, *(rf"\b{name}\b" for name in names)]))
        for number, line in enumerate(file.lines, 1):
            tags_here = ORDER_TAG.findall(line)
            for tag in tags_here:
                tags[tag].append((file.path, number))
            if uses.search(file.code_lines[number - 1]) and not explained(file, number - 1):
                yield file.path, number, "a memory order without ORDER(tag): why, within three lines above"
    for tag, places in tags.items():
        if len(places) < 2 and tag != "counter":
            yield *places[0], f"ORDER({tag}) has no partner in the tree"


@rule
def memory_order_pages(tree, rules):
    """Each tag of the segment's own orders has its row in a page that says what it orders."""
    pages = rules["orders"]["pages"]
    rows = "".join(tree.files[page].text for page in pages if page in tree.files)
    seen = set()
    for file in tree.of(CPP, ("shm",) if pages else ()):
        for number, line in enumerate(file.lines, 1):
            for tag in ORDER_TAG.findall(line):
                if tag not in seen and f"| `{tag}` |" not in rows:
                    yield file.path, number, f"ORDER({tag}) has no row in {' or '.join(pages)}"
                seen.add(tag)


def explained_names(file):
    """Names of orders that a test explains once, where it declares them. The product explains each use."""
    if file.folder != "tests":
        return set()
    return {name for line in file.lines if ORDER_TAG.search(line) for name in ORDER_NAME.findall(line)}


def explained(file, line):
    """Whether `line` (from 0), or the statement that it ends, is within three lines of its ORDER."""
    if ORDER_NAME.search(file.code_lines[line]):
        return True
    first = line
    while first > 0 and re.search(r"[^;{}:\s]\s*$", file.code_lines[first - 1]):
        first -= 1
    return any(ORDER_TAG.search(text) for text in file.lines[max(0, first - 3) : line + 2])


@rule
def atomics(tree, rules):
    for file in tree.of(CPP):
        allowed = matches(file.path, rules["atomics"]["files"])
        if not allowed:
            for found in re.finditer(r"\bstd::atomic(_ref)?\b", file.code):
                yield file.path, file.line_at(found.start()), "std::atomic: use shm::Word"
            continue
        if "std::atomic" not in file.code:
            continue
        for found in ATOMIC_CALL.finditer(file.code):
            arguments = balanced(file.code, found.end() - 1)
            if not re.search(r"\bmemory_order|\bk[A-Z]\w*|\border\b|\bsuccess\b", arguments):
                yield file.path, file.line_at(found.start()), f"{found.group(1)}() with the default order"
        for name in set(ATOMIC_NAME.findall(file.code)):
            changes = rf"(\+\+|--)\s*{name}\b|(?<![.>\w]){name}\s*(\+\+|--|[-+|&^]?=(?!=))"
            for found in re.finditer(changes, file.code):
                yield file.path, file.line_at(found.start()), f"{name} changed with the default order"


def balanced(code, begin):
    """The text from the parenthesis at `begin` to the one that closes it."""
    depth = 0
    for at in range(begin, len(code)):
        depth += (code[at] == "(") - (code[at] == ")")
        if depth == 0:
            return code[begin:at]
    return code[begin:]


@rule
def words(tree, rules):
    for banned in rules["words"]:
        pattern = re.compile(banned["pattern"])
        for file in tree.of(CPP):
            if not matches(file.path, banned.get("except", [])):
                for found in pattern.finditer(file.code):
                    yield file.path, file.line_at(found.start()), f"{found.group(0)}: use {banned['instead']}"
    for banned in rules["phrases"]:
        pattern = re.compile(banned["pattern"])
        for file in tree.files.values():
            if file.path == "scripts/tidy.toml" or file.path.startswith("tests/tidy/"):
                continue
            for found in pattern.finditer(file.text):
                yield file.path, file.line_at(found.start()), f"{found.group(0)}: write {banned['instead']}"


@rule
def hosts(tree, rules):
    for file in tree.files.values():
        for found in URL.finditer(file.text):
            host = found.group(1).lower()
            made_up = "." not in host or MADE_UP_HOST.search(host)
            if not made_up and host not in rules["hosts"]["allowed"]:
                yield file.path, file.line_at(found.start()), f"{host}: no host of scripts/tidy.toml"


@rule
def test_names(tree, rules):
    for file in tree.of(CPP, ("tests",)):
        for found in TEST_NAME.finditer(file.text):
            if ";" in found.group(1):
                yield file.path, file.line_at(found.start()), "no ; in a test's name: Catch2 splits it there"


@rule
def every_module_is_tested(tree, rules):
    tests = {
        (part, Path(path).name)
        for path in tree.files
        if path.startswith("tests/")
        for part in Path(path).parts
    }
    for file in tree.of((".cpp",), PRODUCT):
        own = (file.folder, Path(file.path).stem + "_test.cpp") in tests
        other = rules["tested_by"].get(file.path)
        excused = file.path in rules["untested"]
        waiting = file.path in rules["ratchet"]["untested"]
        if not own and other not in tree.files and not excused and not waiting:
            yield file.path, 1, "no test file: write one, or name it or the reason in scripts/tidy.toml"
        if own and (other or excused):
            yield "scripts/tidy.toml", 1, f"{file.path} has its test file: the exception can go"


@rule
def dead_files(tree, rules):
    included = {name for file in tree.of(CPP) for _, _, name in file.includes}
    for file in tree.of(CPP):
        folder = Path(file.path).parent.as_posix()
        if file.suffix in (".cpp", ".c"):
            lists = tree.files.get(f"{folder}/CMakeLists.txt")
            listed = set(re.findall(r"\w+(?:\.\w+)?", re.sub(r"#[^\n]*", "", lists.text))) if lists else set()
            stem = Path(file.path).stem
            names = {Path(file.path).name, stem, stem.removesuffix("_test")}
            if not names & listed and file.path not in rules["dead"]["files"]:
                yield file.path, 1, f"a dead file: {folder}/CMakeLists.txt does not name it"
        elif file.path not in included and Path(file.path).name not in included:
            yield file.path, 1, "a dead file: nothing includes it"


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def without_code(text):
    return CODE_BLOCK.sub(lambda found: "\n" * found.group(0).count("\n"), text)


@rule
def documents(tree, rules):
    texts = {file.path: without_code(file.text) for file in tree.of((".md",))}
    anchors = {path: {slug(head) for head in HEADING.findall(text)} for path, text in texts.items()}
    for path, text in texts.items():
        titles = len(re.findall(r"^# ", text, re.MULTILINE))
        if titles != 1:
            yield path, 1, f"{titles} titles (#); a document has one"
        for found in LINK.finditer(text):
            target, _, anchor = found.group(1).partition("#")
            if re.match(r"[a-z]+:", found.group(1)):
                continue
            place = (tree.root / path).parent / target if target else tree.root / path
            line = text.count("\n", 0, found.start()) + 1
            if not place.exists():
                yield path, line, f"the link to {found.group(1)} leads nowhere"
            elif anchor and place.suffix == ".md":
                to = place.resolve().relative_to(tree.root).as_posix()
                if anchor not in anchors.get(to, ()):
                    yield path, line, f"{to} has no heading #{anchor}"


@rule
def mentioned_documents(tree, rules):
    """A comment that sends its reader to a document that is not there is worse than none."""
    for file in tree.of(CPP + PYTHON + (".txt", ".cmake", ".sh", ".def", ".md")):
        if file.path.startswith("tests/tidy/"):
            continue
        for found in MENTION.finditer(file.text):
            name = found.group(0)
            if not (tree.root / name).exists() and name not in rules["absent"]["documents"]:
                yield file.path, file.line_at(found.start()), f"there is no {name}"
    index = tree.files.get("docs/README.md")
    for file in tree.of((".md",), ("docs",)):
        if index and file is not index and file.path.removeprefix("docs/") not in index.text:
            yield file.path, 1, "docs/README.md does not name it"


def check(root):
    tree = Tree(root)
    rules = tomllib.loads((tree.root / "scripts/tidy.toml").read_text(encoding="utf-8"))
    return sorted({offence for rule in RULES for offence in rule(tree, rules)})


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    offences = check(root)
    for path, line, message in offences:
        print(f"{path}:{line}: {message}")
    print(f"tidy: {len(offences) or 'no'} offence{'s' * (len(offences) != 1)}")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
