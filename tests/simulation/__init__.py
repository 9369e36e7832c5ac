"""A simulated world around the real decisions: one process, one seed, every fault there is."""
