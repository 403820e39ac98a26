import BlobEngine
import Glibc
import RepoBase

/// Writes down the trees and lists of a snapshot under way, for a writer key's next one. Shared by threads.
///
/// A failure to write, as on a full disk, only means that nothing will be remembered.
final class SnapshotMemory: Sendable {
    private struct State {
        var file: CInt
        var rows: [Row] = []
        var known: Set<BlobID> = []
        var pending: [UInt8] = []
        var written: UInt64 = 0
        var isBroken = false
    }

    private struct Row {
        let type: UInt8
        let id: BlobID
        let offset: UInt64
        let length: UInt32
    }

    private let cacheDirectory: String
    private let temporary: String
    private let state: Monitor<State>
    private static let bufferSize = 1 << 20
    /// Files of sources that have made no snapshot for so many seconds are removed.
    private static let oldAge = 180 * 24 * 3600

    /// Nil where no file can be made.
    init?(_ cacheDirectory: String) {
        self.cacheDirectory = cacheDirectory
        let folder = RememberedFile.folder(cacheDirectory)
        guard (try? LocalFolder.make(folder)) != nil else { return nil }
        temporary = "\(folder)/new-\(getpid())-\(Hexadecimal.encode(RandomBytes.make(8)))"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { return nil }
        var header = ByteWriter()
        header.raw(RememberedFile.magic)
        header.u32(RememberedFile.version)
        header.u32(0)
        state = Monitor(State(file: file, pending: header.bytes))
    }

    deinit { discard() }

    /// Remembers a blob, as far as the bounds allow. Costs a copy.
    func keep(_ id: BlobID, _ type: BlobType, _ bytes: UnsafeRawBufferPointer) {
        state.withLock { state in
            let offset = state.written + UInt64(state.pending.count)
            guard !state.isBroken, state.file >= 0, state.rows.count < RememberedFile.countLimit,
                offset + UInt64(bytes.count) <= RememberedFile.byteLimit, state.known.insert(id).inserted
            else { return }
            state.rows.append(Row(type: type.rawValue, id: id, offset: offset, length: UInt32(bytes.count)))
            state.pending += bytes
            if state.pending.count >= Self.bufferSize { Self.flush(&state) }
        }
    }

    private static func flush(_ state: inout State) {
        var done = 0
        while done < state.pending.count {
            let count = state.pending.withUnsafeBytes {
                write(state.file, $0.baseAddress! + done, $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                state.isBroken = true
                break
            }
            done += count
        }
        state.written += UInt64(state.pending.count)
        state.pending.removeAll(keepingCapacity: true)
    }

    /// Puts what was kept in the place of what was remembered of that source before.
    func finish(_ entry: SnapshotCatalog.Entry) {
        state.withLock { state in
            guard state.file >= 0 else { return }
            let start = state.written + UInt64(state.pending.count)
            var rest = ByteWriter()
            for row in state.rows.sorted(by: { ($0.type, $0.id) < ($1.type, $1.id) }) {
                rest.u8(row.type)
                rest.hash(row.id)
                rest.u64(row.offset)
                rest.u32(row.length)
            }
            let rows = rest.count
            rest.hash(entry.id)
            rest.raw(entry.snapshot.encoded())
            var trailer = ByteWriter()
            trailer.u64(start)
            trailer.u32(UInt32(state.rows.count))
            trailer.u32(UInt32(rest.count - rows))
            trailer.hash(ObjectHasher.hash(rest.bytes))
            trailer.raw(RememberedFile.closing)
            state.pending += rest.bytes + trailer.bytes
            Self.flush(&state)
            let isClosed = close(state.file) == 0
            state.file = -1
            let path = RememberedFile.path(
                cacheDirectory, source: entry.snapshot.source, host: entry.snapshot.host)
            if state.isBroken || !isClosed || rename(temporary, path) != 0 { unlink(temporary) }
        }
        removeOld()
    }

    /// Forgets what was kept. Harmless after `finish`.
    func discard() {
        state.withLock { state in
            guard state.file >= 0 else { return }
            close(state.file)
            state.file = -1
            unlink(temporary)
        }
    }

    /// What killed snapshots and sources of long ago have left.
    private func removeOld() {
        let folder = RememberedFile.folder(cacheDirectory)
        let now = time(nil)
        for name in (try? LocalFolder.names(in: folder)) ?? [] {
            var status = stat()
            guard stat("\(folder)/\(name)", &status) == 0 else { continue }
            let age = now - status.st_mtim.tv_sec
            if age > Self.oldAge || name.hasPrefix("new-") && age > 7 * 24 * 3600 {
                unlink("\(folder)/\(name)")
            }
        }
    }
}
