import CLibcrypto
import RepoBase

/// Bytes from libcrypto's generator, which the kernel seeds (RAND_bytes); on the threads of a simulation, from its own.
public enum RandomBytes {
    /// Traps when the generator fails: a backup sealed with predictable keys would be worse than none.
    public static func make(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            fill(UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count))
            filled = count
        }
    }

    /// Fills memory with them; about 1 GB/s. Traps likewise.
    static func fill(_ buffer: UnsafeMutableRawBufferPointer) {
        guard !buffer.isEmpty else { return }
        if let machine = ThreadMachine.current { return machine.fill(buffer) }
        let bytes = buffer.bindMemory(to: UInt8.self)
        precondition(RAND_bytes(bytes.baseAddress, Int32(buffer.count)) == 1, "RAND_bytes failed")
    }
}
