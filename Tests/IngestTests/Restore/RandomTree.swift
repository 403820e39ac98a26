import CLinux
import Glibc
import RepoBase

@testable import Ingest
@testable import Repository

/// Makes trees of all kinds of files with all kinds of metadata, the same for the same seed.
struct RandomTree {
    var generator: SeededGenerator
    private var files: [[UInt8]] = []

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func fill(_ directory: [UInt8], depth: Int = 0) {
        for _ in 0..<Int.random(in: depth == 0 ? 6...12 : 0...6, using: &generator) {
            let path = directory + [UInt8(ascii: "/")] + name()
            var status = stat()
            guard path.withTerminated({ lstat($0, &status) }) != 0 else { continue }
            switch Int.random(in: 0..<16, using: &generator) {
            case 0..<3 where depth < 5:
                _ = path.withTerminated { mkdir($0, 0o755) }
                fill(path, depth: depth + 1)
            case 3, 4:
                let target = name()
                _ = target.withTerminated { target in path.withTerminated { symlink(target, $0) } }
                _ = path.withTerminated { lchown($0, number(), number()) }
                setTimes(path)
                continue
            case 5: _ = path.withTerminated { mkfifo($0, 0o600) }
            case 6 where geteuid() == 0: _ = path.withTerminated { mknod($0, S_IFCHR | 0o600, 0x0103) }
            case 7, 8:
                guard let other = files.randomElement(using: &generator) else { continue }
                _ = other.withTerminated { other in path.withTerminated { link(other, $0) } }
                continue
            case 9: writeSparse(path)
            default: write(path, bytes())
            }
            decorate(path)
        }
    }

    private mutating func name() -> [UInt8] {
        (0..<Int.random(in: 1...12, using: &generator)).map { _ in
            var byte: UInt8
            repeat { byte = UInt8.random(in: 1...255, using: &generator) } while byte == UInt8(ascii: "/")
            return byte == UInt8(ascii: ".") ? 0x80 : byte
        }
    }

    private mutating func number() -> UInt32 { geteuid() == 0 ? .random(in: 0...3000, using: &generator) : geteuid() }

    /// From empty to many chunks; some repeat, so that chunks are shared.
    mutating func bytes() -> [UInt8] {
        let size = [0, 1, 100, 4096, 9000, 200_000, 700_000].randomElement(using: &generator)!
        var source = SeededGenerator(seed: UInt64.random(in: 0..<8, using: &generator))
        return (0..<size).map { _ in UInt8(truncatingIfNeeded: source.next() >> 13) }
    }

    private mutating func write(_ path: [UInt8], _ bytes: [UInt8]) {
        let file = path.withTerminated { open($0, O_WRONLY | O_CREAT, 0o644) }
        _ = Glibc.write(file, bytes, bytes.count)
        close(file)
        files.append(path)
    }

    private mutating func writeSparse(_ path: [UInt8]) {
        let file = path.withTerminated { open($0, O_WRONLY | O_CREAT, 0o644) }
        for _ in 0..<Int.random(in: 0...3, using: &generator) {
            let bytes = bytes()
            _ = pwrite(file, bytes, bytes.count, off_t(Int.random(in: 0...4_000_000, using: &generator)))
        }
        ftruncate(file, 5_000_000)
        close(file)
        files.append(path)
    }

    private mutating func decorate(_ path: [UInt8]) {
        _ = path.withTerminated { chown($0, number(), number()) }
        let value = (0..<Int.random(in: 0...40, using: &generator)).map { UInt8($0) }
        if Bool.random(using: &generator) {
            // Not possible on devices and fifos.
            _ = path.withTerminated { lsetxattr($0, "user.note", value, value.count, 0) }
        }
        var status = stat()
        _ = path.withTerminated { lstat($0, &status) }
        let mode = mode_t.random(in: 0...0o7777, using: &generator) | (geteuid() == 0 ? 0 : 0o700)
        _ = path.withTerminated { chmod($0, mode) }
        setTimes(path)
    }

    private mutating func setTimes(_ path: [UInt8]) {
        let time = timespec(
            tv_sec: Int.random(in: -1_000_000...2_000_000_000, using: &generator),
            tv_nsec: Int.random(in: 0..<1_000_000_000, using: &generator))
        _ = path.withTerminated { utimensat(AT_FDCWD, $0, [time, time], AT_SYMLINK_NOFOLLOW) }
    }
}
