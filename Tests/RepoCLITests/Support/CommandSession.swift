import Foundation
import Glibc

@testable import RepoCLI

/// A folder with a repository, a cache and nothing else, and commands run in this process against it.
final class CommandSession {
    struct Outcome {
        let status: Int32
        let output: String
        let errors: String

        var lines: [String] { output.split(separator: "\n").map(String.init) }
        /// The last word of standard output: a snapshot's id.
        var id: String { lines.last ?? "" }

        func json() throws -> Any {
            try JSONSerialization.jsonObject(with: Data(output.utf8), options: [.fragmentsAllowed])
        }

        /// The names of an object, or of the first of several.
        func keys() throws -> [String] {
            let value = try json()
            let object = (value as? [Any])?.first ?? value
            return (object as? [String: Any]).map { $0.keys.sorted() } ?? []
        }
    }

    let folder: String
    var environment: [String: String]

    /// - Parameter creating: whether the repository is made, and a machine key for quick unlocking.
    init(creating: Bool = true) throws {
        signal(SIGPIPE, SIG_IGN)
        var template = Array("/tmp/repo-cli-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw POSIXError(.EIO) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        environment = [
            "REPO_URL": folder + "/repository", "REPO_PASSWORD": "secret", "REPO_CONFIG": "/dev/null",
            "REPO_CACHE_DIR": folder + "/cache", "TZ": "UTC", "HOME": folder,
        ]
        guard creating else { return }
        _ = run("init")
        _ = run("key", "add", "--out", folder + "/key")
        environment["REPO_PASSWORD"] = nil
        environment["REPO_KEY_FILE"] = folder + "/key"
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func run(_ arguments: String..., input: [UInt8] = []) -> Outcome { run(arguments, input: input) }

    func run(_ arguments: [String], input: [UInt8] = []) -> Outcome {
        let files = (0..<3).map { _ in scratch() }
        defer { for file in files { close(file) } }
        var input = input
        input.withUnsafeMutableBytes { _ = write(files[0], $0.baseAddress, $0.count) }
        lseek(files[0], 0, SEEK_SET)
        let console = Console(input: files[0], output: files[1], errors: files[2], environment: environment)
        let status = CommandRunner(console: console).run(arguments)
        return Outcome(status: status, output: text(files[1]), errors: text(files[2]))
    }

    /// Makes a file below the session's folder and returns its path.
    @discardableResult
    func file(_ name: String, _ content: String) throws -> String {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try Data(content.utf8).write(to: URL(fileURLWithPath: path))
        return path
    }

    func names(_ path: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: "\(folder)/\(path)")) ?? []
    }

    private func scratch() -> CInt {
        var template = Array("\(folder)/stream-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        unlink(template)
        return file
    }

    private func text(_ file: CInt) -> String {
        lseek(file, 0, SEEK_SET)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case let count = read(file, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}
