"""Pictures of every page of the dashboard, taken from the demo: `make screenshots`."""
