"""Compares how forms are read by the proxy, which writes them for its upstream, and by upstreams' parsers.

Makes forms at random from the corpus, lets weir-form-rewrite write those that are accepted, and gives
these to python-multipart, Go's mime/multipart and busboy. Every parser must find the parts that the proxy
found, with the same names, file names and contents. A parser that is not installed is named and left out;
with none the script fails.

    compare.py --rewrite build/ci/tests/bin/weir-form-rewrite [--node FOLDER] [--forms 5000] [--seed 1]
"""

import argparse
import base64
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
TOKENS = [b"\r\n", b"\n", b"\r", b"--B", b"--", b'"', b"\\", b";", b"=", b"*", b"name=", b'name="model"',
          b"filename=", b"model", b"Content-Disposition: form-data; ", b"Content-Type: text/plain\r\n", b" ",
          b"\t", b"\0", b"\xc3\xa9", b"[]", b":", b"%22", b"utf-8''"]


def damaged(rng, samples):
    text = bytearray(rng.choice(samples))
    for _ in range(rng.randrange(5)):
        at = rng.randrange(len(text) + 1)
        length = rng.randrange(12)
        kind = rng.randrange(4)
        if kind == 0:
            text[at:at] = rng.choice(TOKENS)
        elif kind == 1:
            text[at:at + length] = rng.choice(TOKENS)
        elif kind == 2:
            del text[at:at + length]
        else:
            other = rng.choice(samples)
            begin = rng.randrange(len(other) + 1)
            text[at:at] = other[begin:begin + 60]
    return bytes(text)


def python_parts(kind, body):
    """As Starlette reads forms: by python-multipart's parser of headers and bodies."""
    from python_multipart.multipart import MultipartParser, parse_options_header
    found, part = [], {}
    _, params = parse_options_header(kind)

    def begin():
        part.clear()
        part.update(fields={}, field=b"", value=b"", data=b"")

    def header_end():
        part["fields"][part["field"].lower()] = part["value"]
        part["field"], part["value"] = b"", b""

    def add(key):
        def callback(data, start, end):
            part[key] += data[start:end]
        return callback

    def end():
        _, options = parse_options_header(part["fields"].get(b"content-disposition"))
        file = options.get(b"filename")
        found.append([options[b"name"].decode(), None if file is None else file.decode(),
                      base64.b64encode(part["data"]).decode()])

    parser = MultipartParser(params[b"boundary"], {
        "on_part_begin": begin, "on_part_data": add("data"), "on_part_end": end,
        "on_header_field": add("field"), "on_header_value": add("value"), "on_header_end": header_end})
    parser.write(body)
    parser.finalize()
    return found


def read_by_python(folder):
    for path in folder.glob("*.type"):
        try:
            found = python_parts(path.read_bytes(), path.with_suffix(".body").read_bytes())
        except Exception:  # whatever a parser says of a form: it does not read it
            found = "error"
        path.with_suffix(".py").write_text(json.dumps(found))


def parsers(folder, node_folder):
    """The parsers that are there: a name, and the ending of what they have written."""
    try:
        import python_multipart
        read_by_python(folder)
        yield f"python-multipart {python_multipart.__version__}", ".py"
    except ImportError:
        print("skipped: python-multipart is not installed (pip install python-multipart)")
    if shutil.which("go"):
        subprocess.run(["go", "run", str(HERE / "parse.go"), str(folder)], check=True)
        yield "Go mime/multipart", ".go"
    else:
        print("skipped: go is not installed")
    if node_folder and shutil.which("node"):
        # An import is looked up from where the script lies.
        script = shutil.copy(HERE / "parse.mjs", node_folder)
        subprocess.run(["node", script, str(folder)], check=True)
        yield "busboy", ".mjs"
    else:
        print("skipped: busboy (say where it is installed with --node)")


def main():
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rewrite", required=True, help="the program weir-form-rewrite")
    options.add_argument("--node", help="a folder in which npm has installed busboy")
    options.add_argument("--forms", type=int, default=5000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    rng = random.Random(chosen.seed)
    samples = [path.read_bytes() for path in sorted((HERE.parent / "corpus" / "form").iterdir())]
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "in").mkdir()
        (folder / "out").mkdir()
        for number in range(chosen.forms):
            text = samples[number] if number < len(samples) else damaged(rng, samples)
            (folder / "in" / f"f{number}").write_bytes(text)
        subprocess.run([chosen.rewrite, str(folder / "in"), str(folder / "out")], check=True)
        differences, compared = 0, 0
        for name, ending in parsers(folder / "out", chosen.node):
            files = sorted((folder / "out").glob("*.parts"))
            compared += len(files)
            for path in files:
                expected = json.loads(path.read_text())
                found = json.loads(path.with_suffix(ending).read_text())
                if expected == found:
                    continue
                differences += 1
                if differences <= 5:
                    print(f"{name} reads a form otherwise:\n  {path.with_suffix('.type').read_bytes()!r}\n"
                          f"  {path.with_suffix('.body').read_bytes()!r}\n"
                          f"  the proxy: {expected}\n  it: {found}")
            print(f"{name}: {len(files)} forms compared")
    if compared == 0:
        sys.exit("nothing was compared")
    if differences:
        sys.exit(f"{differences} differences")
    print("every parser finds the same parts")


if __name__ == "__main__":
    main()
