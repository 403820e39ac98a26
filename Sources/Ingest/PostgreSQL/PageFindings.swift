import PostgresFormats
import RepoBase
import Repository

/// Pages whose checksum is wrong, found by the threads that store a base backup.
final class PageFindings: Sendable {
    struct Finding: Hashable, Sendable {
        let path: [UInt8]
        /// In the relation's fork, its files counted through.
        let block: UInt32
        let verdict: PageVerification.Verdict
    }

    let verification: PageVerification

    private struct State {
        var list: [Finding] = []
        var count: UInt64 = 0
        /// Wrong, but changed after the backup began: no damage if that can be true.
        var changed: [Finding] = []
    }
    private let state = Monitor(State())
    /// Of more, only the count is kept.
    static let limit = 10_000

    /// - Parameter start: where the backup began. A page that was written later may be torn, and replay brings it back whole.
    init(start: LogSequenceNumber, blockSize: UInt32) {
        verification = PageVerification(blockSize: Int(blockSize), start: start)
    }

    func add(_ path: [UInt8], _ block: UInt32, _ verdict: PageVerification.Verdict) {
        let finding = Finding(path: path, block: block, verdict: verdict)
        state.withLock { state in
            if verdict.isDamage {
                state.count += 1
                if state.list.count < Self.limit { state.list.append(finding) }
            } else if state.changed.count < Self.limit {
                state.changed.append(finding)
            }
        }
    }

    /// The damage, in order of path and block, and the count of all damaged pages. A page that says it was changed later than
    /// the log's end at the backup's end is damaged as well.
    func damage(stop: LogSequenceNumber) -> (list: [Finding], count: UInt64) {
        let (list, count, changed) = state.withLock { ($0.list, $0.count, $0.changed) }
        let impossible = changed.filter {
            if case .changedSince(let position) = $0.verdict { position > stop } else { false }
        }
        let all = (list + impossible).sorted { $0.path == $1.path ? $0.block < $1.block : isBefore($0.path, $1.path) }
        return (all, count + UInt64(impossible.count))
    }
}

/// Verifies the pages of one file of a relation.
final class RelationInspection: ContentInspection {
    private let path: [UInt8]
    private let first: UInt32
    private let findings: PageFindings

    /// Nil for any other file, and for one beyond what a relation can have.
    init?(_ path: [UInt8], _ findings: PageFindings) {
        // RELSEG_SIZE of all packaged servers: a file of a relation has at most 1 GiB.
        let pagesPerFile = UInt32((1 << 30) / findings.verification.blockSize)
        guard let first = RelationFile(path: String(decoding: path, as: UTF8.self))?.firstBlock(pagesPerFile: pagesPerFile) else {
            return nil
        }
        (self.path, self.first, self.findings) = (path, first, findings)
    }

    func inspect(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) {
        let before = UInt32(offset / UInt64(findings.verification.blockSize))
        findings.verification.verify(pages: bytes, first: first + before) { block, verdict in
            findings.add(path, block, verdict)
        }
    }
}
