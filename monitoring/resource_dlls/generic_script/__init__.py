"""Generic Script: an executable file that is called with the name of the entry point."""

from monitoring.resource_dlls.generic_script.dll import GenericScript

__all__ = ["GenericScript"]
