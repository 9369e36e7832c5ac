"""What an agent's own text tells, beside its metadata: which of Pacemaker's tools it calls, and
whether it can do without a cluster manager that promotes it.

A reading, not a proof: an agent may call a tool in one of its modes only. So it is said, and
refused only where the agent can do nothing alone.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

TOOLS = (
    "attrd_updater",
    "cibadmin",
    "crm_attribute",
    "crm_failcount",
    "crm_master",
    "crm_mon",
    "crm_node",
    "crm_resource",
    "crm_simulate",
    "crm_standby",
    "crm_ticket",
    "crm_verify",
    "crmadmin",
    "stonith_admin",
)
_SHELL_FUNCTIONS = {"ocf_promotion_score": "crm_attribute", "crm_mon_no_validation": "crm_mon"}
"""Functions of the agents' shell library that call one of the tools."""
_CALL = re.compile(rf"(?<![\w.-])({'|'.join((*TOOLS, *_SHELL_FUNCTIONS))})(?![\w-])")
_HELPER = re.compile(r"^\s*(?:\.|source)\s+\S*/([\w.-]+)\s*$", re.MULTILINE)
_METADATA = re.compile(r"<resource-agent.*?</resource-agent>", re.DOTALL)
_COMMENT = re.compile(r"^\s*#.*$|\s#\s.*$", re.MULTILINE)
_COMMON = "ocf-shellfuncs"
"""The library of all agents: it names tools that an agent calls only through its functions."""

_ASKS = re.compile(r"\bocf_is_ms\b|CRM_meta_clone_max|CRM_meta_master_max|CRM_meta_promotable")
"""How an agent finds out whether it is to be promoted."""
DO_WITHOUT = frozenset({"ocf:heartbeat:pgsql", "ocf:heartbeat:redis"})
"""They name tools of Pacemaker's, and were tried without: they need them where they replicate."""
_ONLY_PROMOTED = frozenset({"galera", "mariadb"})
"""They ask, and refuse to run otherwise."""


class Findings(msgspec.Struct, frozen=True):
    """`tools`: Pacemaker's tools that it calls. `runs_alone`: it can be used without promotion."""

    tools: tuple[str, ...]
    runs_alone: bool


def read_script(path: Path, library: Path, promotable: bool) -> Findings:
    """Look through an agent's text and the helpers that it includes from `library`."""
    code = _code(path)
    for name in sorted(set(_HELPER.findall(code))):
        helper = library / name
        if name != _COMMON and not name.startswith(".") and helper.is_file():
            code += "\n" + _code(helper)
    called = {_SHELL_FUNCTIONS.get(name, name) for name in _CALL.findall(code)}
    alone = not promotable or (bool(_ASKS.search(code)) and path.name not in _ONLY_PROMOTED)
    return Findings(tools=tuple(sorted(called)), runs_alone=alone)


def _code(path: Path) -> str:
    """The text without comments and without the metadata, which may describe what is not called."""
    text = path.read_bytes()[:2_000_000].decode("utf-8", "replace")
    return _COMMENT.sub("", _METADATA.sub("", text))
