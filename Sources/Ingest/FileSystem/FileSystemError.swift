import Glibc

/// A file or directory that could not be read, and why.
public struct FileSystemError: Error, Hashable, Sendable {
    /// What was being done.
    public enum Operation: String, Hashable, Sendable, CaseIterable {
        case openFile = "open file"
        case openDirectory = "open directory"
        case readAttributes = "read the attributes of"
        case listDirectory = "list directory"
        case readSymbolicLink = "read symbolic link"
        case readContent = "read the content of"
        case readExtendedAttributes = "read the extended attributes of"
        case returnToDirectory = "return to directory"
    }

    /// Why it failed; new codes may be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private let name: String

        /// It has vanished, or never was there.
        public static let notFound = Code(name: "notFound")
        public static let permissionDenied = Code(name: "permissionDenied")
        /// A directory was expected, or a symbolic link stands where none may be followed.
        public static let replaced = Code(name: "replaced")
        /// The process or the machine has no descriptors or no memory left.
        public static let outOfResources = Code(name: "outOfResources")
        /// The device or the server failed.
        public static let inputOutput = Code(name: "inputOutput")
        /// A network file system no longer knows the file, or cannot be reached.
        public static let stale = Code(name: "stale")
        public static let invalidName = Code(name: "invalidName")
        public static let other = Code(name: "other")

        public var description: String { name }
    }

    public let operation: Operation
    public let code: Code
    /// The failed call's errno; 0 where no call failed but what it found was wrong.
    public let errorNumber: CInt
    /// Path of the object, as bytes, as far as it is known to who failed.
    public let path: [UInt8]

    /// The error of a call that set errno.
    public init(_ operation: Operation, errorNumber: CInt, path: [UInt8]) {
        self.operation = operation
        self.errorNumber = errorNumber
        self.path = path
        code = Code(errorNumber: errorNumber)
    }

    /// Something else has taken the object's place since it was looked at: a file where a directory was,
    /// another directory under the same name.
    public static func replaced(_ operation: Operation, path: [UInt8]) -> FileSystemError {
        FileSystemError(operation, code: .replaced, path: path)
    }

    private init(_ operation: Operation, code: Code, path: [UInt8]) {
        self.operation = operation
        self.code = code
        self.path = path
        errorNumber = 0
    }

    /// The same failure, with the path that its caller knows.
    public func at(_ path: [UInt8]) -> FileSystemError {
        errorNumber == 0
            ? FileSystemError(operation, code: code, path: path)
            : FileSystemError(operation, errorNumber: errorNumber, path: path)
    }
}

extension FileSystemError.Code {
    init(errorNumber: CInt) {
        self =
            switch errorNumber {
            case ENOENT: .notFound
            case EACCES, EPERM: .permissionDenied
            case ENOTDIR, ELOOP, EISDIR: .replaced
            case EMFILE, ENFILE, ENOMEM: .outOfResources
            case EIO, EUCLEAN, ENXIO: .inputOutput
            case ESTALE, ETIMEDOUT, EHOSTDOWN, ENOTCONN: .stale
            case EINVAL, ENAMETOOLONG: .invalidName
            default: .other
            }
    }
}

extension FileSystemError: CustomStringConvertible {
    /// What failed, on which path, why, and what to do: `cannot open file '/a': Permission denied; …`.
    public var description: String {
        let cause =
            errorNumber == 0
            ? "something else has taken its place" : String(cString: strerror(errorNumber))
        let advice = advice.map { "; " + $0 } ?? ""
        return "cannot \(operation.rawValue) '\(RawPath.describe(path))': \(cause)\(advice)"
    }

    private var advice: String? {
        switch code {
        case .notFound: "it was removed or renamed meanwhile; if that is usual, exclude it"
        case .permissionDenied: "run as a user that may read it, or exclude it"
        case .replaced: "it changed while being looked at; the next snapshot will take it as it is then"
        case .outOfResources: "raise the limit of open files (ulimit -n) or free memory, then run again"
        case .inputOutput: "look for errors of the device in the kernel's log (dmesg)"
        case .stale: "check that the network file system is mounted and reachable"
        case .invalidName: "the file system refuses this name; rename it or exclude it"
        default: nil
        }
    }
}
