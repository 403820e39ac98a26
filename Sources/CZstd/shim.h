// The static-only section is needed for ZSTD_getFrameHeader, which bounds the memory of a hostile
// frame before it is decoded. libzstd 1.5.4 exports it from the shared library.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>
