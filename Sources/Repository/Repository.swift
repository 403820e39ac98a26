// The Repository module; see docs/architecture.md.
