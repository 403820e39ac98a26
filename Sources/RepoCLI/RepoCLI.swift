// The RepoCLI module; see docs/architecture.md.
