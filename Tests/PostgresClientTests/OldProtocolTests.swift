import RepoBase
import Testing

@testable import PostgresClient

@Suite("Base backups as PostgreSQL 13 and 14 send them")
struct OldProtocolTests {
    private static let start = ScriptedServer.rows(["recptr", "tli"], [["0/2000028", "1"]])
    private static let spaces = ScriptedServer.rows(
        ["spcoid", "spclocation", "size"], [["16385", "/srv/fast", "12"], [nil, nil, "30000"]])
    private static let stop = ScriptedServer.rows(["recptr", "tli"], [["0/2000100", "1"]])

    private func received(_ answer: [UInt8]) throws -> (pieces: [String], end: BaseBackupStream.End?, error: RepoError?, command: String) {
        let asked = Monitor("")
        let server = try ScriptedServer(version: "14.9") { statement in
            asked.withLock { $0 = statement }
            return answer
        }
        defer { server.stop() }
        var pieces: [String] = []
        do throws(RepoError) {
            let connection = try PostgresConnection(ConnectionTarget("host=\(server.folder) user=x"), .physicalReplication)
            #expect(connection.version.major == 14)
            var options = BaseBackupOptions()
            options.maximumRate = 64 << 20
            let stream = try connection.startBaseBackup(options)
            #expect(stream.tablespaces.map(\.oid) == [16385, nil] && stream.tablespaces[0].location == "/srv/fast")
            #expect(stream.tablespaces[1].bytes == 30000 << 10)
            try Self.collect(stream, into: &pieces)
            return (pieces, try stream.finish(), nil, asked.withLock { $0 })
        } catch {
            return (pieces, nil, error, asked.withLock { $0 })
        }
    }

    private static func collect(_ stream: BaseBackupStream, into pieces: inout [String]) throws(RepoError) {
        receiving: while true {
            switch try stream.next() {
            case .archive(let oid): pieces.append(oid.map { "archive \($0)" } ?? "archive base")
            case .manifest: pieces.append("manifest")
            case .data(let data): pieces.append(data.withBytes { String(decoding: $0, as: UTF8.self) })
            case .end: break receiving
            }
        }
    }

    private static func copies(_ copies: [[String]]) -> [UInt8] {
        copies.flatMap { ScriptedServer.copy($0.map { Array($0.utf8) }) }
    }

    @Test func oneCopyForEachArchiveAndOneForTheManifest() throws {
        let result = try received(
            Self.start + Self.spaces + Self.copies([["a1", "a2"], ["b1", "dn"], ["m1"]]) + Self.stop + ScriptedServer.message("C", Array("BASE_BACKUP\0".utf8)))
        #expect(result.pieces == ["archive 16385", "a1", "a2", "archive base", "b1", "dn", "manifest", "m1"])
        #expect(result.end?.stop.position.description == "0/2000100" && result.end?.hasDamagedPages == false)
        #expect(
            result.command
                == "BASE_BACKUP LABEL 'repo' PROGRESS FAST NOWAIT MAX_RATE 65536 TABLESPACE_MAP MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'")
    }

    @Test func anErrorBetweenArchivesEndsIt() throws {
        let result = try received(Self.start + Self.spaces + Self.copies([["a1"]]) + ScriptedServer.error("55000", "the standby was promoted during online backup"))
        #expect(result.error?.message.contains("promoted") == true)
        #expect(result.pieces == ["archive 16385", "a1"])
    }

    @Test func wrongPageChecksumsAreSaidAfterEverythingCame() throws {
        let result = try received(
            Self.start + Self.spaces + Self.copies([["a"], ["b"], ["m"]]) + Self.stop
                + ScriptedServer.error("XX001", "checksum verification failure during base backup"))
        #expect(result.end?.hasDamagedPages == true)
    }
}
