"""Plants one offence after the other in a small clean tree, and sees that scripts/tidy.py finds just that."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

import tidy  # noqa: E402
from tidy_source import File  # noqa: E402

RULES = r"""
[limits]
columns = 60
file_lines = 30
function_lines = 8
[ratchet.columns]
[ratchet.file_lines]
[ratchet.function_lines]
[ratchet.untested]
[layers]
shm = ["shm"]
router = ["router", "shm"]
tests = ["tests", "shm", "router"]
scripts = []
docs = []
[libraries]
shm = ["boost/interprocess/"]
router = ["fmt/"]
tests = ["catch2/"]
[drivers]
files = ["shm/clock.hpp"]
[atomics]
files = ["shm/word.hpp"]
[[words]]
pattern = '\bstd::endl\b'
instead = "a newline"
except = ["shm/word.hpp"]
[[phrases]]
pattern = 'FIX[M]E'
instead = "the thing"
[orders]
pages = []
[hosts]
allowed = ["api.openai.com"]
[untested]
"shm/main.cpp" = "only wires"
[tested_by]
[dead]
files = []
[absent]
documents = []
"""

WORD = """#pragma once
#include <atomic>
struct W {
    std::atomic<int> value{0};
    // ORDER(head): pairs with get
    void put() {
        value.store(1, std::memory_order_release);
    }
    // ORDER(head): pairs with put
    int get() {
        return value
            .load(std::memory_order_acquire);
    }
};
"""

CLEAN = {
    "scripts/tidy.toml": RULES,
    "shm/CMakeLists.txt": (
        "weir_library(shm SOURCES a.cpp HEADERS a.hpp LIBS x)\n"
        "weir_program(b SOURCES main.cpp)\n"
    ),
    "shm/a.hpp": "#pragma once\n#include <cstdint>\n",
    "shm/a.cpp": '#include "shm/a.hpp"\n\nint a(int x) {\n    return x;\n}\n',
    "shm/main.cpp": '#include "shm/clock.hpp"\n#include "shm/word.hpp"\nint main() {}\n',
    "shm/clock.hpp": "#pragma once\n#include <time.h>\n",
    "shm/word.hpp": WORD,
    "tests/shm/CMakeLists.txt": "weir_test(a_test SOURCES a_test.cpp)\n",
    "tests/shm/a_test.cpp": '#include "shm/a.hpp"\nTEST_CASE("a, b and c") {}\n',
    "docs/README.md": (
        "# Title\n\nSee [the title](#title) and [code](../shm/a.hpp).\n\n```\n# no title\n```\n"
    ),
}


class TidyTest(unittest.TestCase):
    def offences(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in {**CLEAN, **changes}.items():
                place = Path(folder) / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
            return tidy.check(folder)

    def planted(self, path, text, message, at=None, **more):
        """`text` at `path`, or added to what stands there, is an offence: the only one, and that one."""
        if path in CLEAN and not text.startswith("#pragma") and at is None:
            text = CLEAN[path] + text
        found = self.offences({path: text, **more.get("also", {})})
        self.assertEqual([where for where, _, _ in found], [at or path], found)
        self.assertIn(message, found[0][2])

    def excused(self, changes, rules):
        """With the exceptions `rules` put in place, `changes` are no offence."""
        text = RULES
        for before, after in rules.items():
            self.assertIn(before, text)
            text = text.replace(before, after)
        self.assertEqual(self.offences({**changes, "scripts/tidy.toml": text}), [])

    def test_a_clean_tree_has_no_offence(self):
        self.assertEqual(self.offences({}), [])

    def test_a_folder_that_is_not_of_the_house(self):
        self.planted("utils/notes.md", "# Notes\n", "no folder of the house", at="utils")

    def test_layers(self):
        self.planted("shm/a.cpp", '#include "router/b.hpp"\n', "shm/ may not include router/",
                     also={"router/b.hpp": "#pragma once\n"})

    def test_libraries(self):
        self.planted("shm/a.cpp", "#include <fmt/format.h>\n", "<fmt/format.h> is no library of shm/")
        self.planted("shm/a.cpp", "#include <simdjson.h>\n", "no library of shm/")

    def test_a_library_may_be_allowed_for_one_file(self):
        self.excused({"shm/a.cpp": CLEAN["shm/a.cpp"] + "#include <fmt/format.h>\n"},
                     {'router = ["fmt/"]': 'router = ["fmt/"]\n"shm/a.cpp" = ["fmt/"]'})

    def test_pure_files(self):
        self.planted("shm/a.cpp", "#include <unistd.h>\n", "<unistd.h> in a pure file")
        self.planted("shm/a.cpp", "#include <thread>\n", "<thread> in a pure file")
        self.planted("shm/a.cpp", "int t = clock::now();\n", "::now() in a pure file")
        self.planted("shm/a.cpp", "auto v = std::getenv(x);\n", "getenv in a pure file")
        self.assertEqual(self.offences({"shm/a.cpp": CLEAN["shm/a.cpp"] + "// now()\n"}), [])

    def test_public_headers(self):
        self.planted("shm/a.hpp", "boost::interprocess::x y;\n", "names a library of others")
        self.planted("shm/a.hpp", '#include "shm/clock.hpp"\n', "which is not installed")
        lists = CLEAN["shm/CMakeLists.txt"].replace("a.hpp", "a.hpp\n clock.hpp")
        self.assertEqual(self.offences({"shm/CMakeLists.txt": lists,
                                        "shm/a.hpp": CLEAN["shm/a.hpp"] + '#include "shm/clock.hpp"\n'}), [])

    def test_own_header_first(self):
        self.planted("shm/a.cpp", '#include "shm/clock.hpp"\n' + CLEAN["shm/a.cpp"], "comes first",
                     at="shm/a.cpp")

    def test_headers(self):
        self.planted("shm/clock.hpp", "#pragma twice\n", "#pragma once is missing")
        self.planted("shm/clock.hpp", "#pragma once\nusing namespace std;\n", "no using namespace")

    def test_the_form_of_lines(self):
        self.planted("shm/a.cpp", "\tint b;\n", "a tab")
        self.planted("docs/README.md", "text \n", "blanks at the end")
        self.planted("docs/README.md", "text", "no newline at the end")
        self.planted("shm/a.cpp", "int b" + " " * 60 + ";\n", "more than 60 columns")

    def test_the_ratchet_of_columns_lets_through_so_many(self):
        long = "int b" + " " * 60 + ";\n"
        ratchet = {"[ratchet.columns]": '[ratchet.columns]\n"shm/a.cpp" = 1'}
        self.excused({"shm/a.cpp": CLEAN["shm/a.cpp"] + long}, ratchet)
        with self.assertRaises(AssertionError):
            self.excused({"shm/a.cpp": CLEAN["shm/a.cpp"] + long * 2}, ratchet)

    def test_sizes(self):
        self.planted("shm/a.cpp", "int b;\n" * 40, "at most 30")
        self.planted("shm/a.cpp", "int b() {\n" + "    f();\n" * 7 + "}\n", "a function of 9 lines")
        just = "int b() {\n" + "\n" * 6 + "}\n"
        self.assertEqual(self.offences({"shm/a.cpp": CLEAN["shm/a.cpp"] + just}), [])

    def test_the_ratchets_of_sizes(self):
        self.excused({"shm/a.cpp": CLEAN["shm/a.cpp"] + "int b() {\n" + "    f();\n" * 30 + "}\n"},
                     {"[ratchet.file_lines]": '[ratchet.file_lines]\n"shm/a.cpp" = 37',
                      "[ratchet.function_lines]": '[ratchet.function_lines]\n"shm/a.cpp" = 32'})

    def test_exceptions_for_what_is_gone(self):
        for before in ("[untested]\n", "[ratchet.columns]\n"):
            rules = RULES.replace(before, before + '"shm/gone.cpp" = 1\n')
            self.planted("scripts/tidy.toml", rules, "not there", at="scripts/tidy.toml")
        rules = RULES.replace('["shm/word.hpp"]\n[[w', '["shm/word.hpp", "shm/gone.*"]\n[[w')
        self.planted("scripts/tidy.toml", rules, "matches nothing", at="scripts/tidy.toml")

    def test_memory_orders(self):
        use = "\n\n\nint x = w.load(std::memory_order_acquire);\n"
        self.planted("shm/word.hpp", WORD + use, "without ORDER(tag)", at="shm/word.hpp")
        self.planted("shm/word.hpp", WORD + "// ORDER(tail): x\n", "no partner", at="shm/word.hpp")

    def test_memory_orders_have_their_row_in_a_page(self):
        rules = RULES.replace("pages = []", 'pages = ["docs/orders.md"]')
        self.planted("scripts/tidy.toml", rules, "ORDER(head) has no row", at="shm/word.hpp")
        page = {"scripts/tidy.toml": rules, "docs/orders.md": "| `head` | x |\n"}
        self.assertFalse([text for _, _, text in self.offences(page) if "row" in text])

    def memory_order_offences(self, text):
        found = self.offences({"shm/word.hpp": WORD + text})
        return [message for _, _, message in found]

    def test_a_name_for_an_order_needs_its_reason_at_each_use(self):
        name = "constexpr auto kFree = std::memory_order_relaxed;\n"
        self.assertEqual(self.memory_order_offences(name), [])
        self.assertEqual(len(self.memory_order_offences(name + "\n\nint x = v.load(kFree);\n")), 1)
        use = "int x = v.load(kFree);  // ORDER(counter): y\n"
        self.assertEqual(self.memory_order_offences(name + use), [])

    def test_atomics(self):
        self.planted("shm/a.cpp", "std::atomic<int> b;\n", "use shm::Word")
        for call in ("v.value.load()", "v.value.fetch_add(1)", "++value", "value = 3", "value += 2"):
            self.planted("shm/word.hpp", WORD + f"void f() {{ {call}; }}\n",
                         "with the default order", at="shm/word.hpp")

    def test_words(self):
        self.planted("shm/a.cpp", "auto e = std::endl;\n", "use a newline")
        for harmless in ("// std::endl\n", 'auto e = "std::endl";\n', 'auto e = R"(std::endl)";\n'):
            self.assertEqual(self.offences({"shm/a.cpp": CLEAN["shm/a.cpp"] + harmless}), [])
        self.assertEqual(self.memory_order_offences("auto e = std::endl;\n"), [])

    def test_phrases(self):
        self.planted("docs/README.md", "FIX" + "ME\n", "write the thing")

    def test_hosts(self):
        self.planted("docs/README.md", "http:" + "//host.io/x\n", "no host of")
        for host in ("127.0.0.1:1", "up:1", "a.test", "api.openai.com", "www.example.org"):
            harmless = f"http://{host}/x"
            self.assertEqual(self.offences({"scripts/x.sh": f"# {harmless}\n"}), [])

    def test_test_names(self):
        self.planted("tests/shm/a_test.cpp", 'TEST_CASE("a; b") {}\n', "no ; in a test's name")
        self.assertEqual(self.offences({"tests/shm/a_test.cpp": 'TEST_CASE("a") { f(); }\n'}), [])

    def test_every_module_is_tested(self):
        lists = {"shm/CMakeLists.txt": CLEAN["shm/CMakeLists.txt"].replace("a.cpp", "a.cpp b.cpp")}
        self.planted("shm/b.cpp", "int b;\n", "no test file", also=lists)
        self.excused({"shm/b.cpp": "int b;\n", **lists}, {"[untested]": '[untested]\n"shm/b.cpp" = "why"'})
        self.excused({"shm/b.cpp": "int b;\n", **lists},
                     {"[tested_by]": '[tested_by]\n"shm/b.cpp" = "tests/shm/a_test.cpp"'})
        rules = RULES.replace("[untested]", '[untested]\n"shm/a.cpp" = "why"')
        self.planted("scripts/tidy.toml", rules, "the exception can go", at="scripts/tidy.toml")

    def test_dead_files(self):
        self.planted("tests/shm/b_test.cpp", "int b;\n", "a dead file")
        self.planted("shm/b.hpp", "#pragma once\n", "nothing includes it")
        lists = CLEAN["tests/shm/CMakeLists.txt"] + "#weir_test(b_test)\n"
        self.planted("tests/shm/b_test.cpp", "int b;\n", "a dead file",
                     also={"tests/shm/CMakeLists.txt": lists})

    def test_documents(self):
        self.planted("docs/README.md", "# Another\n", "2 titles")
        self.planted("docs/README.md", "[x](gone.md)\n", "leads nowhere")
        self.planted("docs/README.md", "[x](#gone)\n", "no heading #gone")
        also = {"docs/README.md": CLEAN["docs/README.md"] + "b.md\n"}
        self.planted("docs/b.md", "# B\n\n[x](README.md#gone)\n", "docs/README.md has no heading", also=also)


    def test_mentioned_documents(self):
        self.planted("shm/a.cpp", "// docs/gone.md says why\n", "there is no docs/gone.md")
        self.planted("docs/b.md", "# B\n", "docs/README.md does not name it")
        self.assertEqual(self.offences({"shm/a.cpp": CLEAN["shm/a.cpp"] + "// docs/README.md\n"}), [])


class FunctionsTest(unittest.TestCase):
    def lengths(self, text, name="x.cpp"):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / name
            place.write_text(text, encoding="utf-8")
            return File(Path(folder), place).functions

    def test_functions_of_all_kinds(self):
        text = """namespace a {
namespace {
class B : public C {
    int f() const { return 1; }
    B(int x)
        : x_{x}, y_{std::max(1, 2)} {
        g();
    }
};
}  // namespace
template <class T>
T g(T x) {
    if (x) {
        auto l = [&] { return 1; };
    }
    return x;
}
enum class E { one, two };
const std::array<int, 2> table{
    1,
    2,
};
#define M(x) \\
    { x(); }
int h() {
    const char* text = "}";  // }
    return 1'000'000;
}
}  // namespace a
"""
        self.assertEqual(self.lengths(text), [(4, 1), (5, 4), (11, 7), (25, 4)])

    def test_python(self):
        self.assertEqual(self.lengths("def f():\n    x = 1\n    return x\n", "x.py"), [(1, 3)])


if __name__ == "__main__":
    unittest.main()
