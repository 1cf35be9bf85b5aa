#!/usr/bin/env python3
"""Instructions of one request through one Weir worker, counted by valgrind's callgrind: about the same on a
busy machine as on a quiet one, so a change of a few per cent shows. The kernel's part is not in it.

    tests/bench/instructions.py                 asked as compare.sh asks
    tests/bench/instructions.py --functions 30  and where, without and with what is called from there

The proxy, its configuration, the upstream and the questions are compare.sh's. Needs valgrind, wrk and nginx.
"""
import argparse
import contextlib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import compare
from compare import programs


CONNECTIONS = 2  # under valgrind more would make each wait for so long that its client is looked after


def start(stack, folder, upstream, build):
    """A proxy under callgrind."""
    segment = stack.enter_context(programs.segment("instructions"))
    config = pathlib.Path(folder) / "proxy.yaml"
    config.write_text(compare.weir_config(upstream, segment))
    program = stack.enter_context(programs.Program(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out",
         programs.binary("weir-proxy", build), "--config", str(config), "--host", "127.0.0.1", "--port", "0"],
        pathlib.Path(folder) / "weir.log"))
    port = int(program.wait_for(r"listening on http://127\.0\.0\.1:(\d+)", 60)[1])
    return program, port


def control(option, program):
    subprocess.run(["callgrind_control", option, str(program.pid)], check=True, capture_output=True)


def annotate(file, inclusive):
    """Lines of callgrind_annotate: (instructions, function), the most first."""
    how = "yes" if inclusive else "no"
    command = ["callgrind_annotate", f"--inclusive={how}", "--threshold=100", str(file)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [(int(count.replace(",", "")), name)
            for count, name in re.findall(r"^ *([\d,]+) \([ \d.]+%\)  (.*)$", said, re.M)]


def main():
    parser = argparse.ArgumentParser(description="Instructions of one request.")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="show the N most expensive")
    parser.add_argument("--build", help="the build directory (build/ci)")
    args = parser.parse_args()
    for needed in ("valgrind", "wrk", "nginx"):
        if not shutil.which(needed):
            print(f"skipped: there is no {needed} on this host")
            return compare.SKIPPED

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-instructions-"))
        pathlib.Path(folder).chmod(0o755)
        script = pathlib.Path(folder) / "question.lua"
        script.write_text(compare.WRK_SCRIPT)
        upstream = compare.start_upstream(stack, folder, "nginx", args.build)
        program, port = start(stack, folder, upstream, args.build)
        compare.run_wrk(script, port, 2, CONNECTIONS)
        control("--zero", program)
        said = compare.run_wrk(script, port, args.seconds, CONNECTIONS)
        control("--dump", program)
        dump = max(pathlib.Path(folder).glob("out.*"), key=lambda file: file.stat().st_mtime)
        total = int(re.search(r"^(?:summary|totals): (\d+)", dump.read_text(errors="replace"), re.M)[1])
        print(f"{total / said['requests']:.0f} instructions a request, over {said['requests']} requests, "
              f"{said['failed']} of them failed")
        for inclusive in (False, True) if args.functions else ():
            print(f"\n{'with' if inclusive else 'without'} what is called:")
            for count, name in annotate(dump, inclusive)[:args.functions]:
                print(f"{count / said['requests']:9.0f}  {name[:150]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
