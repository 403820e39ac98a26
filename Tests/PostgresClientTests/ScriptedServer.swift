import Glibc
import RepoBase

/// Answers one connection as a script has it, in PostgreSQL's protocol 3.0: for versions of the server that are not at hand.
///
/// Formats: PostgreSQL's manual, "Message Formats".
final class ScriptedServer {
    let folder: String
    private let listener: CInt
    private let thread: WorkerThread

    /// - Parameters:
    ///   - version: what the server calls itself, as `14.9`.
    ///   - answer: the messages for a statement, but for the last one, that it is ready again.
    init(version: String, answer: @escaping @Sendable (String) -> [UInt8]) throws {
        var template = Array("/tmp/pgs.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw RepoError(.failed, "mkdtemp") }
        folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = folder + "/.s.PGSQL.5432"
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        guard bound == 0, listen(listener, 1) == 0 else { throw RepoError(.failed, "bind") }
        self.listener = listener
        thread = WorkerThread {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { return }
            defer { close(client) }
            // The startup packet has no kind.
            guard let length = Self.read(client, 4).map(Self.number), Self.read(client, length - 4) != nil else { return }
            Self.write(
                client,
                Self.message("R", [0, 0, 0, 0]) + Self.message("S", Self.text("server_version") + Self.text(version)) + Self.message("Z", [73]))
            while let kind = Self.read(client, 1), let length = Self.read(client, 4).map(Self.number),
                let body = Self.read(client, length - 4), kind[0] == UInt8(ascii: "Q")
            {
                Self.write(client, answer(String(decoding: body.dropLast(), as: UTF8.self)) + Self.message("Z", [73]))
            }
        }
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        thread.join()
        close(listener)
        unlink(folder + "/.s.PGSQL.5432")
        rmdir(folder)
    }

    private static func number(_ bytes: [UInt8]) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    private static func read(_ descriptor: CInt, _ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + filled, count - filled) }
            guard got > 0 else { return nil }
            filled += got
        }
        return bytes
    }

    private static func write(_ descriptor: CInt, _ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { return }
            sent += count
        }
    }

    // MARK: Messages

    static func text(_ text: String) -> [UInt8] { Array(text.utf8) + [0] }

    static func message(_ kind: Character, _ body: [UInt8]) -> [UInt8] { [kind.asciiValue!] + big32(body.count + 4) + body }

    static func big32(_ number: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - $0 * 8)) } }
    static func big16(_ number: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: number >> 8), UInt8(truncatingIfNeeded: number)] }

    /// Rows of text; nil for NULL.
    static func rows(_ columns: [String], _ rows: [[String?]]) -> [UInt8] {
        // No table, no column of one, of type text, which has no fixed size and no modifier, in text format.
        let kind: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]
        var description = big16(columns.count)
        for column in columns {
            description += text(column)
            description += kind
        }
        var bytes = message("T", description)
        for row in rows {
            var values = big16(row.count)
            for value in row {
                values += big32(value.map { $0.utf8.count } ?? -1)
                values += value.map { Array($0.utf8) } ?? []
            }
            bytes += message("D", values)
        }
        return bytes + message("C", text("SELECT"))
    }

    static func copy(_ pieces: [[UInt8]]) -> [UInt8] {
        message("H", [0] + big16(0)) + pieces.flatMap { message("d", $0) } + message("c", [])
    }

    static func error(_ state: String, _ message: String) -> [UInt8] {
        self.message("E", [UInt8(ascii: "S")] + text("ERROR") + [UInt8(ascii: "C")] + text(state) + [UInt8(ascii: "M")] + text(message) + [0])
    }
}
