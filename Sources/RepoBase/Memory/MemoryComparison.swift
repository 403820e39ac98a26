import Glibc

/// Whether the memory at `a` holds the bytes of `b` (memcmp).
public func memoryIsEqual(_ a: UnsafeRawPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard let base = b.baseAddress, b.count > 0 else { return true }
    return memcmp(a, base, b.count) == 0
}
