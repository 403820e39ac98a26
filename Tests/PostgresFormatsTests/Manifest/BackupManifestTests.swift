import RepoBase
import Testing
@testable import PostgresFormats

@Suite("Backup manifests")
struct BackupManifestTests {
    let log: RecordedLog
    init() throws { log = try RecordedLog.shared.get() }

    /// The digest of what is not the manifest of the fixture is wrong, whatever it is.
    private func parse(_ bytes: [UInt8], trusting: Bool = false) throws -> BackupManifest {
        try bytes.withUnsafeBytes { all in
            try BackupManifest(all, object: "backup_manifest") { covered throws(RepoError) -> [UInt8] in
                if trusting { return [UInt8](repeating: 0xAB, count: 32) }
                let original = log.manifest.lastIndex(of: UInt8(ascii: "M"))! - 1
                return covered.elementsEqual(log.manifest[..<original]) ? log.manifestDigest : [UInt8](repeating: 0, count: 32)
            }
        }
    }

    private func made(_ files: String, version: String = "1", ranges: String = "", more: String = "") -> [UInt8] {
        Array(
            """
            { "PostgreSQL-Backup-Manifest-Version": \(version),\(more)
            "Files": [\(files)],
            "WAL-Ranges": [\(ranges)],
            "Manifest-Checksum": "\(String(repeating: "ab", count: 32))"}

            """.utf8)
    }

    @Test("a real manifest lists the files that are there, with their checksums")
    func real() throws {
        let manifest = try parse(log.manifest)
        #expect(manifest.version == 1 && manifest.systemIdentifier == nil)
        let listed = Set(manifest.files.map { String(decoding: $0.path, as: UTF8.self) })
        #expect(listed == Set(log.backupFiles.keys.filter { !ManifestChecklist.isUnlisted(Array($0.utf8)) || $0 == "postgresql.auto.conf" }))
        for file in manifest.files where String(decoding: file.path, as: UTF8.self) != "postgresql.auto.conf" {
            let found = try #require(log.backupFiles[String(decoding: file.path, as: UTF8.self)])
            #expect(Int(file.size) == found.size)
            #expect(file.algorithm == .crc32c)
            let checksum = found.bytes.withUnsafeBytes { CRC32C.of($0) }
            #expect(file.checksum == withUnsafeBytes(of: checksum.littleEndian) { Array($0) })
        }
        #expect(manifest.logRanges.count == 1 && manifest.logRanges[0].timeline == 1)
        let label = try BackupLabel(log.label, object: "backup_label")
        #expect(manifest.logRanges[0].start == label.start)
    }

    @Test("a changed byte anywhere is found")
    func flips() {
        var bytes = log.manifest
        for place in stride(from: 0, to: bytes.count, by: 211) {
            bytes[place] ^= 0x02
            #expect(throws: RepoError.self, "byte \(place)") { try parse(bytes) }
            bytes[place] ^= 0x02
        }
        for count in [0, 1, 100, bytes.count - 2, bytes.count - 1] {
            #expect(throws: RepoError.self) { try parse(Array(bytes[..<count])) }
        }
        #expect(throws: RepoError.self) { try parse(bytes + [0x0A]) }
    }

    @Test("encoded paths, escapes, algorithms and version 2 are understood")
    func forms() throws {
        let files = """
            { "Encoded-Path": "66f6", "Size": 3, "Last-Modified": "x" },
            { "Path": "a\\u00e9\\"\\\\b\\ud83d\\ude00/c", "Size": 18446744073709551615, "Last-Modified": "x", "Checksum-Algorithm": "SHA224",
              "Checksum": "\(String(repeating: "0f", count: 28))" }
            """
        let manifest = try parse(
            made(
                files, version: "2", ranges: #"{ "Timeline": 3, "Start-LSN": "0/10", "End-LSN": "1/0" }"#,
                more: #""System-Identifier": 7575757575757575757, "#), trusting: true)
        #expect(manifest.systemIdentifier == 7_575_757_575_757_575_757)
        #expect(manifest.files[0].path == [0x66, 0xF6] && manifest.files[0].algorithm == .none && manifest.files[0].checksum.isEmpty)
        #expect(manifest.files[1].path == Array("aé\"\\b😀/c".utf8) && manifest.files[1].checksum.count == 28)
        #expect(manifest.logRanges == [.init(timeline: 3, start: LogSequenceNumber(16), end: LogSequenceNumber(1 << 32))])
        #expect(try parse(made(""), trusting: true).files.isEmpty)
    }

    @Test(
        "what PostgreSQL does not write is refused",
        arguments: [
            #"{ "Path": "/etc/passwd", "Size": 1 }"#, #"{ "Path": "a/../b", "Size": 1 }"#, #"{ "Path": "", "Size": 1 }"#,
            #"{ "Path": "a//b", "Size": 1 }"#, #"{ "Path": "a", "Size": -1 }"#, #"{ "Path": "a", "Size": 18446744073709551616 }"#,
            #"{ "Path": "a" }"#, #"{ "Size": 1 }"#, #"{ "Path": "a", "Size": 1 }, { "Path": "a", "Size": 1 }"#,
            #"{ "Path": "a", "Encoded-Path": "62", "Size": 1 }"#, #"{ "Encoded-Path": "6", "Size": 1 }"#,
            #"{ "Path": "a", "Size": 1, "Checksum-Algorithm": "MD5", "Checksum": "00" }"#,
            #"{ "Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C", "Checksum": "00" }"#,
            #"{ "Path": "a", "Size": 1, "Checksum-Algorithm": "CRC32C" }"#, #"{ "Path": "a\u0000", "Size": 1 }"#,
            #"{ "Path": "a", "Size": 1, "What": 1 }"#, #"{ "Path": "a\ud800", "Size": 1 }"#, "[", "{", #"{ "Path": "a", "Size": 1 },"#,
        ])
    func refused(files: String) { #expect(throws: RepoError.self) { try parse(made(files), trusting: true) } }

    @Test("versions: 3 needs a newer program, 2 its system identifier")
    func versions() {
        let error = #expect(throws: RepoError.self) { try parse(made("", version: "3"), trusting: true) }
        #expect(error?.code == .failed)
        #expect(throws: RepoError.self) { try parse(made("", version: "2"), trusting: true) }
    }

    @Test("the checklist judges as pg_verifybackup does")
    func checklist() throws {
        let manifest = try parse(log.manifest)
        func judge(_ change: (inout [String: [UInt8]]) -> Void) -> [String] {
            var files = log.backupFiles.mapValues(\.bytes)
            change(&files)
            var list = ManifestChecklist(manifest)
            var faults: [String] = []
            for (path, bytes) in files {
                let checksum = bytes.withUnsafeBytes { CRC32C.of($0) }
                if path == "postgresql.auto.conf" { continue }
                let fault = list.check(
                    Array(path.utf8), size: UInt64(bytes.count), checksum: withUnsafeBytes(of: checksum.littleEndian) { Array($0) })
                if let fault { faults.append("\(path): \(fault)") }
            }
            return faults + list.missing.map { String(decoding: $0, as: UTF8.self) }.filter { $0 != "postgresql.auto.conf" }
        }
        let changes: [(String, [String], (inout [String: [UInt8]]) -> Void)] = [
            ("none", [], { _ in }),
            ("ignored", [], { $0["recovery.signal"] = [] }),
            ("added", ["base/1/extra: the manifest does not list it"], { $0["base/1/extra"] = [] }),
            ("gone", ["PG_VERSION"], { $0["PG_VERSION"] = nil }),
            ("longer", ["PG_VERSION: it has 4 bytes, and the manifest says 3"], { $0["PG_VERSION"]! += [10] }),
            ("changed", ["PG_VERSION: its content is not what the manifest says"], { $0["PG_VERSION"] = Array("16\n".utf8) }),
        ]
        for (name, faults, change) in changes {
            #expect(judge(change) == faults, "\(name)")
            let verdict = try #require(log.verdicts[name])
            #expect(verdict.contains("successfully verified") == faults.isEmpty, "\(name): \(verdict)")
        }
        var list = ManifestChecklist(manifest)
        let file = manifest.files[0]
        #expect(list.check(file.path, size: file.size, checksum: file.checksum) == nil)
        #expect(list.check(file.path, size: file.size, checksum: file.checksum) == .again)
    }
}
