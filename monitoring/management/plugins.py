"""A plugin package of somebody's own: its name, and its files, made from the templates in `plugin`."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template

from monitoring.resource_dlls import registry

TEMPLATES = Path(__file__).with_name("plugin")
CLUSTERWEB = Path(__file__).resolve().parents[2]
LONGEST = 40


class PluginError(ValueError):
    """The plugin cannot be made; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a plugin is called where: `greeting_server`, GreetingServer, "Greeting Server"."""

    package: str

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.package.split("_"))

    @property
    def type_name(self) -> str:
        return " ".join(part.capitalize() for part in self.package.split("_"))

    @property
    def distribution(self) -> str:
        return self.package.replace("_", "-")


def names(text: str) -> Names:
    """The names of a plugin; PluginError where it cannot be called that."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", text):
        raise PluginError(
            f"{text!r} cannot be the name of a package: use lower-case letters, digits and single"
            " underscores between them, a letter first, such as greeting_server"
        )
    if len(text) > LONGEST:
        raise PluginError(f"{text} is {len(text)} characters long; at most {LONGEST} are allowed")
    if keyword.iskeyword(text):
        raise PluginError(f"{text} is a word of the Python language; choose another name")
    if text in sys.stdlib_module_names or importlib.util.find_spec(text) is not None:
        raise PluginError(f"there is a Python module {text} already; choose another name")
    made = Names(text)
    if made.type_name in registry.all_types():
        raise PluginError(f"there is a resource type {made.type_name} already; choose another name")
    return made


def make(called: Names, folder: Path) -> list[Path]:
    """Write the plugin into a new folder named after it; the files that were written, in order."""
    target = folder / called.package
    if not folder.is_dir():
        raise PluginError(f"{folder} is no folder; make it, or name another with --directory")
    words = {
        "package": called.package,
        "class_name": called.class_name,
        "type_name": called.type_name,
        "distribution": called.distribution,
        "clusterweb": str(CLUSTERWEB),
        "python": sys.executable,
    }
    try:
        target.mkdir()
    except FileExistsError:
        raise PluginError(f"{target} exists; nothing was changed") from None
    except OSError as error:
        raise PluginError(f"{target} cannot be made: {error.strerror}") from None
    return [_write(template, target, called, words) for template in sorted(TEMPLATES.rglob("*-tpl"))]


def _write(template: Path, target: Path, called: Names, words: dict[str, str]) -> Path:
    where = template.relative_to(TEMPLATES).with_name(template.name.removesuffix("-tpl"))
    parts = [called.package if part == "package" else part for part in where.parts]
    parts[-1] = parts[-1].replace("gitignore", ".gitignore").replace("test_package", f"test_{called.package}")
    path = target.joinpath(*parts)
    path.parent.mkdir(exist_ok=True)
    path.write_text(Template(template.read_text(encoding="utf-8")).substitute(words), encoding="utf-8")
    return path
