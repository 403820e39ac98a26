@testable import BlobEngine
import Glibc
import PostgresFormats
import RepoBase
@testable import Repository
@testable import WALArchive

/// What a machine remembers of a repository in its cache, where a disk may have changed it: the first byte says which file. Where a checksum would keep the
/// fuzzer out, inputs get the right one.
extension FuzzTarget {
    func remembered(_ bytes: [UInt8]) {
        guard let kind = bytes.first else { return }
        let rest = Array(bytes.dropFirst())
        switch kind % 5 {
        case 0: indexTable(rest)
        case 1:
            let file = withHash(SeenState.magic + number(1) + number(0) + rest)
            guard let state = try? SeenState(file, object: "seen") else { return }
            precondition((try? SeenState(state.encoded(), object: "seen")) != nil, "what was seen does not survive its own encoding")
        case 2: _ = try? LockLedger.decode(withHash(Array("repolock".utf8) + number(1) + rest))
        case 3: _ = try? VerificationLedger.decode(Array("repoledg".utf8) + number(2) + rest)
        default:
            guard rest.count >= 4 else { return }
            var mark = Array("repojrnl".utf8) + rest.prefix(JournalMark.byteCount - 12)
            mark += [UInt8](repeating: 0, count: JournalMark.byteCount - 4 - mark.count)
            _ = JournalMark(mark + number(mark.withUnsafeBytes { CRC32C.of($0) }))
        }
    }

    private func number(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

    private func withHash(_ body: [UInt8]) -> [UInt8] { body + ObjectHasher.hash(body).bytes }

    /// A table of as many blobs as the first byte says, with bytes of its columns changed; or, where the second one is odd, with other bytes behind the header
    /// that is checked. Lookups must stay inside whatever it says.
    private func indexTable(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        let (segment, table) = Self.table(Int(bytes[0]))
        var file = table
        let checked = IndexTableLayout.checkedHeaderLength
        for edit in stride(from: 2, to: bytes.count - 2, by: 3) {
            let place = checked + (Int(bytes[edit]) | Int(bytes[edit + 1]) << 8) % (file.count - checked)
            file[place] = bytes[edit + 2]
        }
        if bytes[1] & 1 == 1 {
            var packs = 0
            for byte in 16..<20 { packs |= Int(file[byte]) << (8 * (byte - 16)) }
            let end = IndexTableLayout.headerLength + packs
            let checksum = ObjectHasher.hash(Array(file[..<checked]) + Array(file[IndexTableLayout.headerLength..<end]))
            file.replaceSubrange(checked..<IndexTableLayout.headerLength, with: checksum.bytes)
        } else {
            file.replaceSubrange(checked..<IndexTableLayout.headerLength, with: table[checked..<IndexTableLayout.headerLength])
        }
        precondition(ftruncate(Self.scratch, 0) == 0)
        precondition(file.withUnsafeBytes { pwrite(Self.scratch, $0.baseAddress!, $0.count, 0) } == file.count)
        guard let opened = try? IndexTable(file: Self.scratch, path: "table") else { return }
        for blob in segment.blobs {
            for position in opened.positions(of: blob.record.id) { look(opened, position) }
            _ = opened.positions(ofPrefix: blob.record.id.prefix &+ 1)
        }
        for position in 0..<opened.count { look(opened, position) }
        let isUnchanged = file[IndexTableLayout.headerLength...] == table[IndexTableLayout.headerLength...]
        precondition((try? opened.verify()) == nil || isUnchanged || bytes[1] & 1 == 1, "a changed table is verified")
    }

    private func look(_ table: IndexTable, _ position: Int) {
        guard let record = table.record(at: position) else { return }
        precondition(record.flaw == nil && record.bases.count <= BlobBases.maximumCount)
        _ = table.pack(at: position)
        _ = table.storedLength(at: position)
    }

    /// A file without a name.
    private static let scratch: CInt = {
        var template = Array("/tmp/repo-fuzz-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        precondition(descriptor >= 0)
        unlink(template)
        return descriptor
    }()

    private static let signer = KeyID(bytes: [UInt8](repeating: 7, count: 16)[...])!

    nonisolated(unsafe) private static var tables: [Int: (IndexSegment, [UInt8])] = [:]

    private static func table(_ count: Int) -> (IndexSegment, [UInt8]) {
        if let made = tables[count] { return made }
        let segment = segment(count)
        let table = IndexTable.encode(segment, signer: signer)
        let made = (segment, Array(UnsafeRawBufferPointer(start: table.base, count: table.count)))
        tables[count] = made
        return made
    }

    private static func segment(_ count: Int) -> IndexSegment {
        let packs = (0..<3).map { number in
            let seal = PackSeal(epoch: 1, envelope: [UInt8](repeating: 3, count: PackSeal.envelopeLength), signer: signer)
            return PackRecord(id: ObjectHasher.hash([UInt8(number)]), size: 1 << 20, seal: seal, isVerified: true)
        }
        let records = (0..<count).map { number -> BlobRecord in
            var bases = BlobBases()
            for base in 0..<number % 3 { bases.append(UInt64(number) << 8 | UInt64(base)) }
            let id = BlobID(loadingFrom: ObjectHasher.hash([UInt8(truncatingIfNeeded: number), UInt8(number >> 8)]).bytes)
            return BlobRecord(
                id: id, type: .chunk, encoding: bases.count > 0 ? .delta : .zstd, offset: UInt32(number * 100), ordinal: UInt32(number), storedLength: 84,
                rawLength: 4096, bases: bases)
        }
        return IndexSegment(replaces: [], packs: packs, blobs: records.sorted { $0.id < $1.id }.map { (pack: $0.ordinal % 3, record: $0) })
    }
}
