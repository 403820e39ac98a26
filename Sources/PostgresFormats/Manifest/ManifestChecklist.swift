/// Ticks off the files of a manifest as they arrive, in any order, as pg_verifybackup does with files that are there.
public struct ManifestChecklist: Sendable {
    /// What is wrong with a file.
    public enum Fault: Hashable, Sendable, CustomStringConvertible {
        case unexpected
        case again
        case size(expected: UInt64, found: UInt64)
        case checksum

        public var description: String {
            switch self {
            case .unexpected: "the manifest does not list it"
            case .again: "it arrived twice"
            case .size(let expected, let found): "it has \(found) bytes, and the manifest says \(expected)"
            case .checksum: "its content is not what the manifest says"
            }
        }
    }

    private let files: [BackupManifest.File]
    private let places: [[UInt8]: Int]
    private var isSeen: [Bool]

    public init(_ manifest: BackupManifest) {
        files = manifest.files
        var places = [[UInt8]: Int](minimumCapacity: manifest.files.count)
        for (place, file) in manifest.files.enumerated() { places[file.path] = place }
        self.places = places
        isSeen = [Bool](repeating: false, count: manifest.files.count)
    }

    /// What the manifest says of a file; nil for one that it does not list.
    public func expected(_ path: [UInt8]) -> BackupManifest.File? { places[path].map { files[$0] } }

    /// Compares a file with the manifest and ticks it off.
    ///
    /// - Parameter checksum: by the algorithm that `expected` names.
    /// - Returns: nil where all is right, and for files that no manifest lists: the log, and what pg_verifybackup leaves out.
    public mutating func check(_ path: [UInt8], size: UInt64, checksum: [UInt8]) -> Fault? {
        guard let place = places[path] else { return Self.isUnlisted(path) ? nil : .unexpected }
        guard !isSeen[place] else { return .again }
        isSeen[place] = true
        let file = files[place]
        if file.size != size { return .size(expected: file.size, found: size) }
        return file.checksum == checksum ? nil : .checksum
    }

    /// Paths that the manifest lists and that did not arrive.
    public var missing: [[UInt8]] { files.indices.filter { !isSeen[$0] }.map { files[$0].path } }

    /// `should_ignore_relpath` of pg_verifybackup: the manifest itself, the log, and what recovery is set up with.
    public static func isUnlisted(_ path: [UInt8]) -> Bool {
        let unlisted = ["backup_manifest", "pg_wal", "postgresql.auto.conf", "recovery.signal", "standby.signal"]
        return unlisted.contains { path.elementsEqual($0.utf8) } || path.starts(with: "pg_wal/".utf8)
    }
}
