@testable import PostgresFormats
import RepoBase

/// Parsers of what PostgreSQL writes. Checksums would keep the fuzzer out of nearly all of it, so inputs get right ones first.
extension FuzzTarget {
    func runPostgres(_ bytes: [UInt8]) {
        switch self {
        case .segment: segment(bytes)
        case .control:
            var repaired = bytes
            bytes.withUnsafeBytes { _ = try? ControlFile($0, object: "control") }
            for (version, offset) in [(1300, 288), (1800, 292)] where bytes.count >= 512 {
                put(UInt32(version), at: 8, in: &repaired)
                put(repaired[..<offset].withUnsafeBytes { CRC32C.of($0) }, at: offset, in: &repaired)
                repaired.withUnsafeBytes { _ = try? ControlFile($0, object: "control") }
            }
        case .manifest:
            let manifest = bytes.withUnsafeBytes { all in
                try? BackupManifest(all, object: "manifest") { _ throws(RepoError) in [UInt8](repeating: 0xAB, count: 32) }
            }
            guard let manifest else { return }
            var list = ManifestChecklist(manifest)
            for file in manifest.files { _ = list.check(file.path, size: file.size, checksum: file.checksum) }
            precondition(list.missing.isEmpty, "a file of the manifest does not find itself")
        case .history:
            guard let history = try? TimelineHistory(bytes, timeline: 40, object: "history") else { return }
            let again = try? TimelineHistory(Array(history.text.utf8), timeline: 40, object: "history")
            precondition(again?.ancestors.map(\.end) == history.ancestors.map(\.end), "a history does not survive its own text")
            for ancestor in history.ancestors {
                // Ends may descend; then an ancestor ends where a later one was left.
                guard let end = history.end(of: ancestor.timeline), end <= ancestor.end else { preconditionFailure("a timeline ends behind its end") }
                precondition(history.leads(from: ancestor.timeline, at: end), "a timeline does not lead to its end")
                _ = history.segment(holding: ancestor.end, size: .standard)
            }
        case .label:
            _ = try? BackupLabel(bytes, object: "label")
            if let map = try? TablespaceMap(bytes, object: "map") {
                let again = try? TablespaceMap(map.bytes, object: "map")
                precondition(again == map, "a map does not survive its own bytes")
            }
            _ = RelationFile(path: String(decoding: bytes, as: UTF8.self))
        case .facts:
            if let cluster = try? ClusterFacts(bytes, object: "facts") {
                precondition((try? ClusterFacts(cluster.encoded(), object: "facts")) == cluster, "facts do not survive their own encoding")
            }
            guard let facts = try? WALFacts(bytes, object: "facts") else { return }
            precondition((try? WALFacts(facts.encoded(), object: "facts")) == facts, "facts do not survive their own encoding")
            for later in [[], [facts], [WALFacts(), facts]] {
                _ = WALBoundary(
                    after: facts, followedBy: later, start: LogSequenceNumber(1 << 20), size: WALSegmentSize(bytes: 1 << 20)!,
                    version: .postgres15)
            }
        case .dump: dump(bytes)
        default: break
        }
    }

    /// An archive of pg_dump, whole and byte by byte.
    private func dump(_ bytes: [UInt8]) {
        func scan(pieces: Int) -> DumpScan? {
            var scan = DumpScan(object: "dump")
            return bytes.withUnsafeBytes { bytes in
                for start in stride(from: 0, to: bytes.count, by: pieces) {
                    let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + pieces)])
                    guard (try? scan.push(piece)) != nil else { return nil }
                }
                return (try? scan.finish()) == nil ? nil : scan
            }
        }
        if let contents = try? DumpContents(bytes[...], object: "dump") {
            _ = DumpEntry.roles(of: contents.entries)
            _ = contents.databaseTablespace
        }
        guard let whole = scan(pieces: max(1, bytes.count)) else { return }
        let parts = scan(pieces: 7)
        precondition(parts?.contents == whole.contents && parts?.rows == whole.rows, "an archive in pieces is another one")
    }

    /// Reads the bytes as they are, then as the beginning of a segment: with headers on its pages and checksums in its records.
    private func segment(_ bytes: [UInt8]) {
        read(bytes)
        guard bytes.count > 48 else { return }
        let bytes = Array(bytes.prefix(8192))
        var repaired = bytes
        let version = WALVersion.allCases[Int(bytes[0]) % WALVersion.allCases.count]
        let start: UInt64 = 3 << 20
        for page in stride(from: 0, to: repaired.count - 40, by: 1024) {
            put(version.rawValue, at: page, in: &repaired)
            repaired[page + 2] = bytes[page + 2] & 0x09 | (page == 0 ? 2 : 0)
            repaired[page + 3] = 0
            put(UInt32(1), at: page + 4, in: &repaired)
            put(start + UInt64(page), at: page + 8, in: &repaired)
            put(UInt32(0), at: page + 20, in: &repaired)
        }
        put(UInt32(1 << 20), at: 32, in: &repaired)
        put(UInt32(1024), at: 36, in: &repaired)
        repair(&repaired, start: start)
        read(repaired)
    }

    /// Gives the records that lie in one page the lengths, links and checksums that make the reader look into them.
    private func repair(_ bytes: inout [UInt8], start: UInt64) {
        var previous: UInt64 = 0
        for page in stride(from: 0, to: bytes.count - 40, by: 1024) {
            var offset = page + (page == 0 ? 40 : 24)
            let end = min(page + 1024, bytes.count)
            while offset + 24 <= end {
                let total = min(24 + Int(bytes[offset]), end - offset)
                put(UInt32(total), at: offset, in: &bytes)
                put(previous, at: offset + 8, in: &bytes)
                let body = bytes[(offset + 24)..<(offset + total)]
                var checksum = CRC32C()
                body.withUnsafeBytes { checksum.update($0) }
                bytes[offset..<(offset + 20)].withUnsafeBytes { checksum.update($0) }
                put(checksum.value, at: offset + 20, in: &bytes)
                previous = start + UInt64(offset)
                let aligned = (offset + total + 7) & ~7
                for place in (offset + total)..<max(offset + total, min(aligned, bytes.count)) { bytes[place] = 0 }
                offset = aligned
            }
        }
    }

    private func read(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { all in
            for extent in [WALSegmentReader.Extent.complete, .partial, .beginning] {
                _ = try? WALSegmentReader.verify(name: "000000010000000000000003", all, extent: extent, object: "segment")
            }
            if let contents = try? WALSegmentReader.read(all, object: "segment") {
                let again = try? WALFacts(contents.facts.encoded(), object: "facts")
                precondition(again == contents.facts, "facts do not survive their own encoding")
            }
            var scan = WALTransactionScan(from: LogSequenceNumber(3 << 20))
            for _ in 0..<2 {
                try? scan.read(all, extent: .partial, object: "segment") { event in
                    if case .transactionEnd(let end) = event { _ = end.time.fileTime }
                    return true
                }
            }
        }
    }

    private func put<Number: FixedWidthInteger>(_ number: Number, at offset: Int, in bytes: inout [UInt8]) {
        guard offset + MemoryLayout<Number>.size <= bytes.count else { return }
        withUnsafeBytes(of: number.littleEndian) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}
