/// What goes wrong with one operation of a process.
package enum SimulatedFault: Hashable, Sendable {
    /// It fails and has done nothing.
    case failBefore
    /// It works, and its answer is lost.
    case failAfter
    /// The network repeats it at once: the answer is the second one's, so what was created exists already.
    case repeated
    /// It works, and a second copy of the request arrives so many seconds later.
    case repeatedLate(Int)
    /// The answer is lost, and the request itself arrives so many seconds later.
    case failLate(Int)
    /// It takes so many seconds longer, before or after it has worked.
    case delayBefore(Int)
    case delayAfter(Int)
    /// The whole process stands still for so many seconds, before or after the operation.
    case freezeBefore(Int)
    case freezeAfter(Int)
    /// The process dies.
    case dieBefore
    case dieAfter
    /// It dies in the middle of a put, which is never seen; other operations as `dieBefore`.
    case dieTorn
    /// It dies, and what it had sent arrives so many seconds later.
    case dieLate(Int)
}

/// An operation that a process is about to make.
package struct SimulatedOperation: Hashable, Sendable, CustomStringConvertible {
    package enum Kind: UInt8, Hashable, Sendable {
        case put, create, read, get, stat, list, makeDurable, delete, clean
    }

    package let kind: Kind
    /// The key, or the prefix of a listing.
    package let name: String
    package let place: String

    package var isChange: Bool { kind == .put || kind == .create || kind == .delete }

    package var description: String { "\(kind) \(name) in \(place)" }
}
