// The BlobEngine module; see docs/architecture.md.
