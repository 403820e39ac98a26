import Glibc
import PostgresClient
import RepoBase

/// The table of contents of a custom-format archive that is on its way: `pg_restore --list` reads the beginning of a copy of it.
final class ArchiveListing {
    private var child: ChildProcess
    private var isTaking = true
    private let text = Monitor<[UInt8]>([])
    private let reader: WorkerThread

    init(_ tools: DumpTools) throws(RepoError) {
        let child = try ChildProcess([tools.restore, "--list"], pipesInput: true)
        self.child = child
        let (output, text) = (child.output, text)
        // It prints while we write: whoever waits for the other would wait for ever on one thread.
        reader = WorkerThread {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = read(output, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                text.withLock { $0 += buffer[..<count] }
            }
        }
    }

    /// Hands it the archive's next bytes. It closes its end when it has read the table of contents; what comes then is dropped.
    func offer(_ bytes: UnsafeRawBufferPointer) {
        guard isTaking, let input = child.input else { return }
        var rest = bytes
        while !rest.isEmpty {
            let count = write(input, rest.baseAddress!, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                isTaking = false
                return
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Oids of the tables whose data the archive holds. Throws `.sourceFailed` when the archive was not understood.
    func finish() throws -> [UInt32] {
        child.closeInput()
        reader.join()
        let status = child.wait()
        guard status == .exited(0) else { throw CommandSource.failure("pg_restore --list", status) }
        return Self.tables(String(decoding: text.withLock { $0 }, as: UTF8.self))
    }

    func kill() {
        child.closeInput()
        child.terminate()
        reader.join()
        child.kill()
    }

    /// Lines as `3351; 0 16388 TABLE DATA public orders postgres`: number, then oids of the catalogue (0 for data) and of the table.
    static func tables(_ listing: String) -> [UInt32] {
        listing.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 5)
            guard words.count == 6, words[0].hasSuffix(";"), words[3] == "TABLE", words[4] == "DATA" else { return nil }
            return UInt32(words[2])
        }
    }
}
