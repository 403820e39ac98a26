// The StorageTesting module; see docs/architecture.md.
