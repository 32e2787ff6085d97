#!/usr/bin/env python3
"""Writes Sources/Example/SampleFiles.swift out of examples/sample; a Tidy test fails when the two differ.

The program carries its sample applications inside itself, since it is one file that is copied to servers. `--check`
writes nothing and exits 1 when the Swift file is not what the folder says.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples" / "sample"
OUTPUT = ROOT / "Sources" / "Example" / "SampleFiles.swift"

HEADER = """// swift-format-ignore-file
// Written by examples/embed.py from examples/sample. Change the files there, then run `make examples`.

enum SampleFiles {
    static let repositories: [String: [String: String]] = [
"""


def literal(text):
    for hashes in range(1, 9):
        fence = "#" * hashes
        if '"""' + fence not in text and "\\" + fence not in text:
            lines = [line for line in text.split("\n")]
            return f'{fence}"""\n' + "\n".join(lines) + "\n" + f'"""{fence}'
    raise SystemExit("a sample file has too many quotes in a row")


def rendered():
    out = [HEADER]
    for folder in sorted(path for path in SAMPLE.iterdir() if path.is_dir()):
        out.append(f'        "{folder.name}": [\n')
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = file.relative_to(folder).as_posix()
            if name.startswith("public/") or "__pycache__" in name:
                continue
            out.append(f'            "{name}":\n                {literal(file.read_text())},\n')
        out.append("        ],\n")
    out.append("    ]\n}\n")
    return "".join(out)


def main():
    text = rendered()
    if "--check" in sys.argv[1:]:
        if not OUTPUT.exists() or OUTPUT.read_text() != text:
            print("Sources/Example/SampleFiles.swift differs from examples/sample; run `make examples`.")
            raise SystemExit(1)
        return
    OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
