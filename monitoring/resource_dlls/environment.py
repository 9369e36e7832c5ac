"""What a command that runs for a resource finds in its environment.

The names are part of the plugin API: scripts and applications rely on them.
"""

from __future__ import annotations

from monitoring.resource_dlls.api import Context, ResourceError


def variables(context: Context) -> dict[str, str]:
    """CLUSTERWEB_RESOURCE, _GROUP, _NODE and _EPOCH; and, of what the resource depends on,
    CLUSTERWEB_ADDRESS, CLUSTERWEB_NETWORK_NAME and CLUSTERWEB_DISK (the first of each)."""
    found = {
        "CLUSTERWEB_RESOURCE": context.name,
        "CLUSTERWEB_GROUP": context.group,
        "CLUSTERWEB_NODE": context.node,
        "CLUSTERWEB_EPOCH": str(context.epoch),
    }
    for type_name, prop, variable in (
        ("IP Address", "Address", "CLUSTERWEB_ADDRESS"),
        ("Network Name", "Name", "CLUSTERWEB_NETWORK_NAME"),
        ("Physical Disk", "Path", "CLUSTERWEB_DISK"),
    ):
        for provider in context.providers:
            if provider.type_name == type_name:
                found.setdefault(variable, str(provider.properties[prop]))
    return found


def with_network_name(context: Context) -> dict[str, str]:
    """`variables`, with the group's network name in place of the host's (UseNetworkName)."""
    found = variables(context)
    name = found.get("CLUSTERWEB_NETWORK_NAME")
    if name is None:
        raise ResourceError(f"UseNetworkName is set, but {context.name} depends on no Network Name")
    return found | {"HOSTNAME": name, "COMPUTERNAME": name}
