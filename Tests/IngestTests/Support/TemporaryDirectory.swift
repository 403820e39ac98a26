import Glibc
import NumbersTesting
import Testing

@testable import Ingest

/// A directory that is gone with its content when the test ends.
final class TemporaryDirectory: Sendable {
    let path: [UInt8]

    init() throws {
        var template = Array("/tmp/ingest-XXXXXX\0".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = template.withUnsafeBufferPointer { Array(terminatedBy: $0.baseAddress!) }
    }

    /// `rm` copes with names of any bytes and with depths beyond PATH_MAX.
    deinit { _ = try? Program.run("/bin/rm", ["-rf", text]) }

    var text: String { String(decoding: path, as: UTF8.self) }

    func path(_ name: some Sequence<UInt8>) -> [UInt8] { path + [UInt8(ascii: "/")] + name }
    func path(_ name: String) -> [UInt8] { path(Array(name.utf8)) }
    func text(_ name: String) -> String { text + "/" + name }

    func makeDirectory(_ name: some Sequence<UInt8>) {
        expectZero(path(name).withCString { Int(mkdir($0, 0o755)) })
    }
    func makeDirectory(_ name: String) { makeDirectory(Array(name.utf8)) }

    func write(_ name: some Sequence<UInt8>, _ content: some Sequence<UInt8>) {
        let descriptor = path(name).withCString { Int(Glibc.open($0, O_WRONLY | O_CREAT | O_TRUNC, 0o644)) }
        #expect(descriptor >= 0)
        let bytes = Array(content)
        #expect(Glibc.write(CInt(descriptor), bytes, bytes.count) == bytes.count)
        close(CInt(descriptor))
    }
    func write(_ name: String, _ content: String) { write(Array(name.utf8), Array(content.utf8)) }

    /// The directory, opened; the caller closes it.
    func open(_ name: String = ".") -> CInt {
        let descriptor = Glibc.open(text(name), O_RDONLY | O_DIRECTORY)
        #expect(descriptor >= 0)
        return descriptor
    }

    private func expectZero(_ result: Int) { #expect(result == 0) }
}

/// Programs that tests need as oracles or to make what Swift cannot.
enum Program {
    struct Failure: Error {
        let program: String
        let status: CInt
    }

    static func isAvailable(_ path: String) -> Bool { access(path, X_OK) == 0 }

    /// Runs a program to its end. Input and output go through files, so that neither can block the other.
    @discardableResult
    static func run(
        _ program: String, _ arguments: [String], input: [UInt8] = [], accepted: Set<CInt> = [0]
    ) throws -> [UInt8] {
        let input = try file(input)
        let output = try file([])
        defer {
            close(input)
            close(output)
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        var argv = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var process = pid_t()
        guard posix_spawn(&process, program, &actions, nil, &argv, environ) == 0 else {
            throw Failure(program: program, status: errno)
        }
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        guard status & 0x7f == 0, accepted.contains(status >> 8 & 0xff) else {
            throw Failure(program: program, status: status)
        }
        var result = [UInt8](repeating: 0, count: Int(lseek(output, 0, SEEK_END)))
        #expect(pread(output, &result, result.count, 0) == result.count)
        return result
    }

    private static func file(_ content: [UInt8]) throws -> CInt {
        var template = Array("/tmp/ingest-io-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        unlink(template)
        try #require(write(descriptor, content, content.count) == content.count)
        lseek(descriptor, 0, SEEK_SET)
        return descriptor
    }
}

typealias SeededGenerator = SeededNumbers
