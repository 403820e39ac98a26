/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of PostgreSQL's log, control file and backup manifest (port/pg_crc32c.h).
///
/// SSE4.2 where the processor has it, tables (slicing-by-8) elsewhere; the same results. Reentrant, allocates nothing, cannot fail.

#ifndef REPO_CHECKSUMS_H
#define REPO_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Appends `len` bytes at `bytes` (null where `len` is 0) to a checksum under way.
///
/// `crc` is the inner state: start with 0xFFFFFFFF, and invert the last result.
uint32_t repo_crc32c(uint32_t crc, const void *bytes, size_t len);

/// The same by tables alone, on any processor: the oracle of the tests.
uint32_t repo_crc32c_portable(uint32_t crc, const void *bytes, size_t len);

#ifdef __cplusplus
}
#endif

#endif
