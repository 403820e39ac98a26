import BlobEngine

/// What unlocks a repository.
public enum Credentials: Sendable {
    /// The password's bytes, as they are: no normalisation, no end of line removed.
    case password([UInt8])
    /// The content of a machine key's file.
    case machineKey([UInt8])

    /// Overwrites it in memory, for everybody who shares it. Nobody may use it afterwards.
    public func wipe() {
        switch self {
        case .password(let bytes), .machineKey(let bytes): SecretBytes.wipe(bytes)
        }
    }
}

/// What will protect a key that is made.
public enum KeyProtection: Sendable {
    case password([UInt8])
    /// A new random secret, which the caller must keep: it is stored nowhere.
    case machine

    var kind: KeyKind {
        switch self {
        case .password: .password
        case .machine: .machine
        }
    }
}
