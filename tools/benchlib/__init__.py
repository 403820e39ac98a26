"""The parts of tools/bench and tools/bench-data."""
