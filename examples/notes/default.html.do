#!/usr/bin/env python3
"""A page from a note: its first line is the title, paragraphs are divided by empty lines."""

import html
import subprocess
import sys

target, stem, output = sys.argv[1:]
subprocess.run(["redo-ifchange", f"{stem}.txt", "page.template", f"{stem}.words"], check=True)
with open(f"{stem}.txt") as note:
    title, _, body = note.read().partition("\n")
with open(f"{stem}.words") as words:
    count = words.read().strip()
paragraphs = "\n".join(f"<p>{html.escape(text.strip())}</p>" for text in body.split("\n\n") if text.strip())
with open("page.template") as template, open(output, "w") as page:
    page.write(template.read().format(title=html.escape(title), body=paragraphs, words=count))
