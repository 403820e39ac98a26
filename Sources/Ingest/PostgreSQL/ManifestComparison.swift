import BlobEngine
import PostgresFormats
import RepoBase

/// Compares what came of a base backup with what the server says it sent.
struct ManifestComparison {
    private let manifest: BackupManifest

    /// Throws when the manifest itself did not come as it was sent.
    init(_ bytes: [UInt8]) throws(RepoError) {
        let read = bytes.withUnsafeBytes { bytes in
            Result { () throws(RepoError) in try BackupManifest(bytes, object: "the server's manifest", sha256: SHA256Digest.of) }
        }
        switch read {
        case .success(let manifest): self.manifest = manifest
        case .failure(let error): throw Self.mismatch(error.message)
        }
    }

    /// Throws, naming the first file, when one is missing, is not listed, or is otherwise than it was sent; also for another cluster's manifest and
    /// for one that names other log than the backup needs.
    /// - Parameter table: sorted.
    func compare(
        _ table: BackupTable, systemIdentifier: UInt64, from start: LogSequenceNumber, timeline: UInt32
    ) throws(RepoError) {
        if let theirs = manifest.systemIdentifier, theirs != systemIdentifier {
            throw Self.mismatch("it is of the cluster \(theirs), and the backup of \(systemIdentifier)")
        }
        guard manifest.logRanges.contains(where: { $0.timeline == timeline && $0.start <= start }) else {
            throw Self.mismatch("it does not name the log from \(start) on")
        }
        var isListed = [Bool](repeating: false, count: table.entries.count)
        for file in manifest.files {
            guard let place = table.find(file.path), table.entries[place].kind == .file else {
                throw Self.mismatch("\(Self.name(file.path)) did not come")
            }
            let entry = table.entries[place]
            guard entry.size == file.size else {
                throw Self.mismatch("\(Self.name(file.path)) came with \(entry.size) bytes instead of \(file.size)")
            }
            guard file.algorithm == .crc32c else {
                throw Self.mismatch("\(Self.name(file.path)) has a checksum of another kind than was asked for")
            }
            // Bytes of a CRC-32C stand there from the lowest on.
            guard file.checksum.elementsEqual((0..<4).map { UInt8(truncatingIfNeeded: entry.checksum >> ($0 * 8)) }) else {
                throw Self.mismatch("\(Self.name(file.path)) came with another content than was sent")
            }
            isListed[place] = true
        }
        for (entry, isListed) in zip(table.entries, isListed) where entry.kind == .file && !isListed {
            let path = Array(table.path(entry))
            guard Self.isUnlisted(path) else { throw Self.mismatch("it does not list \(Self.name(path))") }
        }
    }

    /// The manifest itself, and the log, which it covers by its ranges.
    private static func isUnlisted(_ path: [UInt8]) -> Bool {
        path == BackupFeed.manifestName || path.starts(with: Array("pg_wal/".utf8))
    }

    private static func name(_ path: [UInt8]) -> String { "'\(RawPath.describe(path))'" }

    private static func mismatch(_ why: String) -> RepoError {
        RepoError(
            .sourceFailed, "the backup is not what the server's manifest says: \(why)",
            advice: "No snapshot was made. Run it again; if this comes back, look at the network and the server's disks.")
    }
}
