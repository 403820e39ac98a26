import Glibc
import Ingest
import RepoBase

/// A program that reads what it is given, and whose messages are kept instead of shown.
final class FedProgram {
    /// It closed its input: its messages say why, or it needs no more.
    struct Hungup: Error {}

    private let child: ChildProcess
    private let name: String
    private let messages = Monitor<[UInt8]>([])
    private let reader: WorkerThread
    private static let messageLimit = 1 << 16
    private static let setpriv = "/usr/bin/setpriv"

    /// Throws `.sourceFailed` when it cannot be started.
    init(_ command: [String], environment: [String: String]) throws(RepoError) {
        name = command[0]
        // What it says on standard error comes with what it says on standard output. It must not load on behind our back when we are killed: then the kernel
        // ends it (PR_SET_PDEATHSIG, prctl(2)), and the server takes its transaction back.
        let launcher = access(Self.setpriv, X_OK) == 0 ? [Self.setpriv, "--pdeathsig", "KILL", "--"] : []
        let child = try ChildProcess(["/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"] + launcher + command, environment: environment, pipesInput: true)
        self.child = child
        let (output, messages) = (child.output, messages)
        // It may speak while we write: whoever waits for the other would wait for ever on one thread.
        reader = WorkerThread {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(output, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                messages.withLock { $0 += buffer[..<min(count, max(0, FedProgram.messageLimit - $0.count))] }
            }
        }
    }

    /// Throws `Hungup`.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard let input = child.input else { throw Hungup() }
        var rest = bytes
        while !rest.isEmpty {
            let count = Glibc.write(input, rest.baseAddress!, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw Hungup()
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try write(UnsafeRawBufferPointer($0)) }
    }

    /// Where another program of this user writes to the same input, while it is open (proc(5)): at the program's own end, since this process lets nobody
    /// look into it, and root alone could open what it has open.
    var inputPath: String {
        get throws {
            guard child.input != nil else { throw Hungup() }
            return "/proc/\(child.processID)/fd/0"
        }
    }

    /// Runs it to its end on what `feed` writes.
    ///
    /// Throws what `feed` throws, after ending the program: one that has not seen the end of its input has committed nothing. Throws `.failed` with its messages
    /// where it fails, and `.interrupted`.
    /// - Parameter advice: what to do when it fails.
    static func run(
        _ command: [String], environment: [String: String] = [:], _ work: ExtractWork, advice: String,
        feed: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void = { _ in }
    ) throws {
        try run(command, environment: environment, work, advice: advice) { program in
            try feed { bytes in
                try work.check()
                try program.write(bytes)
            }
        }
    }

    static func run(
        _ command: [String], environment: [String: String] = [:], _ work: ExtractWork, advice: String, with body: (FedProgram) throws -> Void
    ) throws {
        try work.check()
        let program = try FedProgram(command, environment: environment)
        try work.during({ [child = program.child] in child.terminate() }) {
            do {
                try body(program)
            } catch is Hungup {
            } catch {
                program.child.kill()
                _ = program.finish()
                throw error
            }
            let (status, text) = program.finish()
            try work.check()
            guard status != .exited(0) else { return }
            throw RepoError(.failed, text.isEmpty ? "'\(program.name)' failed (\(Self.describe(status)))" : text, advice: advice)
        }
    }

    private static func describe(_ status: ChildProcess.Status) -> String {
        switch status {
        case .exited(let code): "exit status \(code)"
        case .signalled(let signal): "signal \(signal)"
        }
    }

    private func finish() -> (ChildProcess.Status, String) {
        child.closeInput()
        reader.join()
        let status = child.wait()
        let lines = String(decoding: messages.withLock { $0 }, as: UTF8.self).split(separator: "\n").prefix(12)
        return (status, lines.joined(separator: "\n"))
    }
}
