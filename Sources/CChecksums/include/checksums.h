/// The checksums of PostgreSQL: CRC-32C (Castagnoli, RFC 3720 appendix B.4; port/pg_crc32c.h) of its log, control file and backup manifest, and
/// that of its data pages (storage/checksum_impl.h).
///
/// By SSE4.2 and AVX2 where the processor has them, portable elsewhere; the same results. Reentrant, allocates nothing, cannot fail.

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

/// `pg_checksum_page`: of a page of `len` bytes, a multiple of 128, which is number `block` of its relation's fork. What the page itself holds as
/// its checksum does not count. From 1 to 65535.
uint16_t repo_page_checksum(const void *page, size_t len, uint32_t block);

/// The same by the compiler's baseline instructions: the oracle of the tests.
uint16_t repo_page_checksum_portable(const void *page, size_t len, uint32_t block);

#ifdef __cplusplus
}
#endif

#endif
