import BlobEngine
import PostgresFormats
import RepoBase
import Testing

@testable import Ingest

@Suite("What came beside what the manifest says")
struct ManifestComparisonTests {
    private static let files: [(path: String, content: String)] = [
        ("PG_VERSION", "15\n"), ("backup_label", "label"), ("base/1/1259", "relation"), ("pg_tblspc/16385/PG_15_1/1/2", "far"),
    ]

    private static func manifest(
        _ files: [(path: String, content: String)] = files, start: String = "0/2000028", change: (String) -> String = { $0 }
    ) throws -> [UInt8] {
        let lines = files.map { file in
            let checksum = Array(file.content.utf8).withUnsafeBytes { CRC32C.of($0) }
            let digits = (0..<4).map { shift -> String in
                let text = String(UInt8(truncatingIfNeeded: checksum >> (UInt32(shift) * 8)), radix: 16)
                return text.count == 1 ? "0" + text : text
            }.joined()
            return """
                { "Path": "\(file.path)", "Size": \(file.content.utf8.count), "Last-Modified": "2026-11-21 09:00:00 GMT", \
                "Checksum-Algorithm": "CRC32C", "Checksum": "\(digits)" }
                """
        }
        let text = change(
            """
            { "PostgreSQL-Backup-Manifest-Version": 1,
            "Files": [
            \(lines.joined(separator: ",\n"))
            ],
            "WAL-Ranges": [
            { "Timeline": 1, "Start-LSN": "\(start)", "End-LSN": "0/2000100" }
            ],

            """)
        let digest = try Array(text.utf8).withUnsafeBytes { try SHA256Digest.of($0) }
        let digits = digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
        return Array((text + "\"Manifest-Checksum\": \"\(digits)\"}\n").utf8)
    }

    private static func table(_ files: [(path: String, content: String)] = files) throws -> BackupTable {
        var table = BackupTable()
        for file in files + [("backup_manifest", "x"), ("pg_wal/000000010000000000000002", "x")] {
            let member = TarMember(
                name: Array(file.path.utf8), kind: .file, permissions: 0o600, userID: 1, groupID: 1, userName: [], groupName: [], modified: 0,
                size: UInt64(file.content.utf8.count))
            let checksum = Array(file.content.utf8).withUnsafeBytes { CRC32C.of($0) }
            _ = table.add(member, path: member.name, checksum: checksum)
        }
        try table.sort()
        return table
    }

    private func compare(_ manifest: [UInt8], _ table: BackupTable) throws {
        try ManifestComparison(manifest).compare(table, systemIdentifier: 7, from: LogSequenceNumber(0x200_0028), timeline: 1)
    }

    @Test func whatAgreesIsAccepted() throws {
        try compare(Self.manifest(), Self.table())
    }

    @Test func everyDifferenceIsNamed() throws {
        func message(_ manifest: [UInt8], _ table: BackupTable) throws -> String {
            let error = #expect(throws: RepoError.self) { try compare(manifest, table) }
            #expect(error?.code == .sourceFailed)
            return error?.message ?? ""
        }
        let manifest = try Self.manifest()
        #expect(try message(manifest, Self.table(Array(Self.files.dropFirst()))).contains("'PG_VERSION' did not come"))
        #expect(try message(manifest, Self.table(Self.files + [("extra", "x")])).contains("it does not list 'extra'"))
        var other = Self.files
        other[2].content = "relatioN"
        #expect(try message(manifest, Self.table(other)).contains("'base/1/1259' came with another content"))
        other[2].content = "relation and more"
        #expect(try message(manifest, Self.table(other)).contains("'base/1/1259' came with 17 bytes instead of 8"))
        #expect(try message(Self.manifest(start: "0/2000030"), Self.table()).contains("it does not name the log from 0/2000028 on"))
        var flipped = manifest
        flipped[120] ^= 1
        _ = try message(flipped, Self.table())
        _ = try message(Array(manifest.dropLast(3)), Self.table())
    }
}
