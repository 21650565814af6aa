"""The recipes of the documentation for Bootstrap, Tailwind and Pico: a layout, and its stylesheets."""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "page.md"
FRAMEWORKS = ("Bootstrap", "Tailwind", "Pico")

# Tailwind writes the utilities that the layout uses into one file.
BUILD = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [folder, html] = process.argv.slice(1);
const { compile } = await import(pathToFileURL(`${folder}/dist/lib.mjs`));
const loadStylesheet = async () => ({ path: "", base: "", content: readFileSync(`${folder}/index.css`, "utf8") });
const compiler = await compile(readFileSync(0, "utf8"), { loadStylesheet });
process.stdout.write(compiler.build(html.match(/[^\\s"'<>]+/g)));
"""


class Recipe(NamedTuple):
    """A documented layout, and the text of its stylesheets by their file names."""

    layout: str
    stylesheets: dict[str, str]


def recipe(framework: str, node_modules: Path, extra: str = "") -> Recipe:
    """The recipe for a framework; ``extra`` is more HTML whose classes its stylesheet has to know."""
    section = re.split(r"\n##+ ", DOCUMENTATION.read_text().partition(f"### {framework}")[2])[0]
    ((html,), (css,)) = (re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL) for language in ("html", "css"))
    if framework == "Tailwind":
        folder = node_modules / "tailwindcss"
        command = ["node", "--input-type=module", "--eval", BUILD, str(folder), html + extra]
        built = subprocess.run(command, input=css, capture_output=True, text=True, check=True, timeout=60)
        return Recipe(html, {"app.css": built.stdout})
    path, own = {
        "Bootstrap": ("bootstrap/dist/css/bootstrap.min.css", "access-tokens-bootstrap.css"),
        "Pico": ("@picocss/pico/css/pico.min.css", "access-tokens-pico.css"),
    }[framework]
    return Recipe(html, {Path(path).name: (node_modules / path).read_text(), own: css})
