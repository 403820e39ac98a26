import Glibc
import PostgresFormats
import RepoBase

/// Moves a data directory and its tablespaces aside by renaming them: at once, and without room for a copy.
struct SafetyCopy {
    private(set) var moved: [(from: String, to: String)] = []

    /// - Parameter suffix: what tells the copies from others, as in `before-restore-20261103T023000Z`.
    /// Throws `.failed`, with everything back in its place, when one cannot be renamed.
    mutating func make(of target: ClusterTarget, suffix: String) throws(RepoError) {
        do throws(RepoError) {
            if !target.data.isEmpty { try move(target.data.path, suffix) }
            for tablespace in target.tablespaces where !tablespace.folder.isEmpty { try move(tablespace.folder.path, suffix) }
            // The copy's links must lead to the copies, or a server started on it would work in the restored tablespaces.
            guard let data = moved.first, data.from == target.data.path else { return }
            for tablespace in target.tablespaces {
                guard let copy = moved.first(where: { $0.from == tablespace.folder.path }) else { continue }
                let link = "\(data.to)/pg_tblspc/\(tablespace.oid)"
                guard Self.target(of: link) == copy.from else { continue }
                guard unlink(link) == 0, symlink(copy.to, link) == 0 else { throw TextFile.failure("redirect the link", link) }
            }
        } catch {
            for (from, to) in moved.reversed() { _ = rename(to, from) }
            throw error
        }
    }

    private mutating func move(_ path: String, _ suffix: String) throws(RepoError) {
        var copy = "\(path).\(suffix)"
        var number = 1
        while access(copy, F_OK) == 0 {
            number += 1
            copy = "\(path).\(suffix)-\(number)"
        }
        guard rename(path, copy) == 0 else {
            let reason = String(cString: strerror(errno))
            throw RepoError(
                .failed, "'\(path)' cannot be moved aside: \(reason)",
                advice: errno == EBUSY || errno == EXDEV
                    ? "It is a mount point. Copy it elsewhere by hand, and leave out --safety-copy." : "Nothing was touched.")
        }
        moved.append((path, copy))
    }

    private static func target(of link: String) -> String? {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(link, &buffer, buffer.count - 1)
        return count > 0 ? String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self) : nil
    }
}
