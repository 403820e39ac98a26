import Glibc

/// A descriptor that is closed when its owner goes.
///
/// Only for descriptors opened for reading: close(2) has nothing to report for them.
struct OwnedDescriptor: ~Copyable, Sendable {
    let number: CInt

    /// Takes over an open descriptor.
    init(_ number: CInt) {
        self.number = number
    }

    /// Gives the descriptor away without closing it.
    consuming func release() -> CInt {
        let number = number
        discard self
        return number
    }

    deinit { close(number) }
}
