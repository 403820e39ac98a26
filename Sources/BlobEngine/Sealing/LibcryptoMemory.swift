import CLibcrypto
import Glibc

/// Where OpenSSL's memory comes from.
public enum LibcryptoMemory {
    /// Lets what scrypt works on, 32 MiB at random, lie in huge pages where the system gives them on request (madvise(2), `MADV_HUGEPAGE`): unlocking by a
    /// password takes 85 ms instead of 105 (docs/performance.md).
    ///
    /// Before anything else of OpenSSL is called; later it has no effect (CRYPTO_set_mem_functions(3)).
    public static func useHugePages() {
        _ = CRYPTO_set_mem_functions(
            { size, _, _ in LibcryptoMemory.allocate(size) }, { memory, size, _, _ in realloc(memory, size) }, { memory, _, _ in free(memory) })
    }

    private static let hugePage = 2 << 20

    private static func allocate(_ size: Int) -> UnsafeMutableRawPointer? {
        guard size >= 2 * hugePage else { return malloc(size) }
        var memory: UnsafeMutableRawPointer?
        guard posix_memalign(&memory, hugePage, size) == 0 else { return nil }
        _ = madvise(memory, size, MADV_HUGEPAGE)
        return memory
    }
}
