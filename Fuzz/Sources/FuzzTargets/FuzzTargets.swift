@testable import BlobEngine
import Glibc
@testable import PostgresFormats
import RepoBase
@testable import Repository
@testable import StorageRemote

/// Every parser of bytes that nobody vouches for, and whole operations on what they parse. Each must throw or return: never trap, never allocate more than its
/// input and the format's limits allow.
enum FuzzTarget: String, CaseIterable {
    case trailer, directory, index, tree, list, snapshot, config, key, machinekey, record, parity, zstd, delta
    case segment, control, manifest, history, label, facts, logobject, dump, remembered
    case xml, json, location, sftp, cloud
    /// Not parsers: whole operations, and the commands as people run them.
    case repository, commands

    static let chosen: FuzzTarget = {
        let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            print("FUZZ_TARGET must be one of \(allCases.map(\.rawValue))")
            exit(2)
        }
        return target
    }()

    func run(_ bytes: [UInt8]) {
        switch self {
        case .trailer:
            _ = try? PackTrailer(bytes, packSize: 1 << 20, object: "trailer")
            _ = try? PackTrailer(Array(bytes.suffix(196)), packSize: UInt64(bytes.count), object: "trailer")
        case .directory:
            guard bytes.count >= 8 else { return }
            let count = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16
            let end = UInt64(bytes[3]) | UInt64(bytes[4]) << 8 | UInt64(bytes[5]) << 16 | UInt64(bytes[6]) << 24
            guard
                let blobs = try? PackDirectory.decode(
                    Array(bytes[7...]), count: count, end: end, object: "directory")
            else { return }
            precondition(PackDirectory.encode(blobs) == Array(bytes[7...]), "a directory has two forms")
        case .index:
            guard let segment = try? IndexSegment.decodeBody(bytes, object: "segment") else { return }
            precondition(segment.encodeBody() == bytes, "a segment has two forms")
        case .tree:
            guard case .leaf(let entries)? = try? TreeCodec.decode(bytes, object: "tree") else { return }
            let again = try? TreeCodec.decode(TreeCodec.encode(leaf: entries), object: "tree")
            precondition(again == .leaf(entries), "a tree does not survive its own encoding")
        case .list:
            guard let list = try? ContentList.decode(bytes, object: "list") else { return }
            let again = try? ContentList.decode(list.encode(), object: "list")
            precondition(again == list, "a list does not survive its own encoding")
        case .snapshot:
            guard let snapshot = try? Snapshot(bytes, object: "snapshot") else { return }
            precondition((try? Snapshot(snapshot.encoded(), object: "snapshot")) == snapshot, "a snapshot does not survive its own encoding")
        case .config:
            guard let config = try? RepositoryConfig.decodeBody(bytes, object: "config") else { return }
            precondition((try? RepositoryConfig.decodeBody(config.encodedBody(), object: "config")) == config, "a config does not survive its own encoding")
        case .parity:
            guard let group = try? ParityGroup(bytes, object: "group") else { return }
            precondition((try? ParityGroup(group.encoded(), object: "group")) == group, "a group does not survive its own encoding")
        case .key: _ = try? WrappedKey(bytes, object: "key")
        case .machinekey: _ = try? MachineKeyFile(parsing: bytes)
        case .record:
            if let fields = try? RecordFields(bytes, object: "record") {
                precondition((try? RecordFields(fields.encoded(), object: "record")) == fields, "a record does not survive its own encoding")
            }
            guard let report = try? Report(bytes, object: "report") else { return }
            precondition((try? Report(report.encoded(), object: "report")) == report, "a report does not survive its own encoding")
        case .zstd: decode(bytes, .zstd)
        case .delta: decode(bytes, .delta)
        case .xml:
            _ = try? ListPage(s3: bytes)
            _ = try? ListPage(azure: bytes)
            _ = try? S3VersionPage(bytes)
            _ = try? GoogleVersionPage(bytes)
            guard let root = try? XMLElement(parsing: bytes) else { return }
            precondition(!root.name.isEmpty, "a document without a root")
            _ = ErrorAnswer(root)
            _ = GoogleLifecycleRule(root)?.finding("rules", for: "prefix/")
            _ = S3LifecycleRule(root)?.finding("rules", for: "prefix/")
        case .json:
            _ = S3Credentials(service: bytes)
            precondition((FlatJSON.scalars(bytes) == nil) == (FlatJSON.strings(bytes) == nil), "an object of JSON is one and is none")
        case .location:
            guard let text = String(validating: bytes, as: UTF8.self), let location = try? S3Location(parsing: text) else { return }
            guard let again = try? S3Location(parsing: String(location.description.dropFirst(3))) else {
                preconditionFailure("a location's name is none")
            }
            precondition(again.bucket == location.bucket && again.prefix == location.prefix, "a location's name is another's")
            _ = try? S3Settings(location, { _ in nil })
            _ = ProfileFile(parsing: text, prefixed: true)["default"]
        case .sftp:
            guard bytes.count >= SFTPFrame.size else { return }
            _ = try? SFTPFrame(bytes)
            let body = Array(bytes[1...])
            if case .names(let names)? = try? SFTPAnswer(bytes[0], body) {
                precondition(names.allSatisfy { !$0.name.contains("/") && !$0.name.isEmpty }, "a name leads elsewhere")
            }
            _ = try? SFTPFileSystem(body)
            if let text = String(validating: body, as: UTF8.self), let location = try? SFTPLocation(parsing: text) {
                guard let again = try? SFTPLocation(parsing: String(location.description.dropFirst(5))) else { preconditionFailure("a location's name is none") }
                precondition(again.destination == location.destination && again.path == location.path, "a location's name is another's")
                _ = try? SSHCommand(location, command: text)
            }
            guard var abilities = try? SFTPAbilities(version: [0, 0, 0, 3]) else { return }
            try? abilities.take(limits: body)
            precondition((1024...261_120).contains(abilities.readBytes) || abilities.readBytes == 32_768, "a request without a bound")
            _ = try? SFTPAbilities(version: [0, 0, 0, 3] + body)
        case .cloud: cloud(bytes)
        case .repository: repository(bytes)
        case .commands: commands(bytes)
        case .segment, .control, .manifest, .history, .label, .facts, .dump: runPostgres(bytes)
        case .logobject: logObject(bytes)
        case .remembered: remembered(bytes)
        }
    }

    /// The first three bytes are the length that the index claims.
    private func decode(_ bytes: [UInt8], _ encoding: BlobEncoding) {
        guard bytes.count >= 3 else { return }
        let length = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2] & 3) << 16
        let out = AlignedBuffer(capacity: max(1, length))
        bytes.dropFirst(3).withUnsafeBytes { encoded in
            Self.base.withUnsafeBytes { base in
                _ = try? Self.coder.decode(
                    encoded, encoding: encoding, rawLength: length, bases: encoding == .delta ? [base] : [],
                    into: out.base, object: "blob")
            }
        }
    }

    nonisolated(unsafe) private static let coder = BlobCoder()
    private static let base = Array("a base of a delta, some words of it again: a base of a delta, words of it".utf8)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    FuzzTarget.chosen.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
