import CLinux
import Glibc
import RepoBase
import Testing

@testable import Ingest

@Suite struct OpenedFileTests {
    func opened(_ work: TemporaryDirectory, _ name: String, calls: FileSystemCalls = .kernel) throws
        -> OpenedFile
    {
        let directory = work.open()
        defer { close(directory) }
        return try OpenedFile(
            Array(name.utf8), in: directory, path: work.path(name), accounts: AccountNames(), calls: calls)
    }

    func read(_ file: inout OpenedFile, _ count: Int, at offset: UInt64 = 0) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0xee, count: count)
        let filled = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
        return Array(bytes[..<filled])
    }

    @Test func readsWhatIsThereAndSaysThatNothingChanged() throws {
        let work = try TemporaryDirectory()
        work.write("f", "content")
        var file = try opened(work, "f")
        #expect(try read(&file, 100) == Array("content".utf8))
        #expect(try read(&file, 3, at: 2) == Array("nte".utf8))
        #expect(try file.finish() == [])
    }

    @Test func saysHowTheFileChangedMeanwhile() throws {
        let work = try TemporaryDirectory()
        work.write("f", "content")
        var file = try opened(work, "f")
        let past = [timespec(tv_sec: 1, tv_nsec: 0), timespec(tv_sec: 1, tv_nsec: 0)]
        truncate(work.text("f"), 3)
        utimensat(AT_FDCWD, work.text("f"), past, 0)
        #expect(try read(&file, 7) == Array("con".utf8))
        #expect(try file.finish().isSuperset(of: [.shrunk, .modified]))

        file = try opened(work, "f")
        truncate(work.text("f"), 9)
        #expect(try file.finish().contains(.grown))

        // Shrunk while being read and back at its old size when looked at again.
        file = try opened(work, "f")
        truncate(work.text("f"), 1)
        _ = try read(&file, 9)
        truncate(work.text("f"), 9)
        #expect(try file.finish().contains(.shrunk))
    }

    @Test func isAfterARefreshAsIfItHadBeenOpenedThen() throws {
        let work = try TemporaryDirectory()
        work.write("f", "content")
        var file = try opened(work, "f")
        file.fetchBeginning()
        truncate(work.text("f"), 9)
        lsetxattr(work.text("f"), "user.added", "v", 1, 0)
        try file.refresh()
        #expect(file.metadata.size == 9)
        #expect(file.metadata.extendedAttributes.map(\.name) == [Array("user.added".utf8)])
        #expect(try read(&file, 100) == Array("content".utf8) + [0, 0])
        #expect(try file.finish() == [])
    }

    @Test func doesNotWaitForAFifoNorFollowALink() throws {
        let work = try TemporaryDirectory()
        mkfifo(work.text("p"), 0o600)
        work.write("f", "")
        symlink("f", work.text("l"))
        work.makeDirectory("d")
        for name in ["p", "l", "d"] {
            #expect {
                let file = try opened(work, name)
                _ = try file.finish()
            } throws: { ($0 as? FileSystemError)?.code == .replaced }
        }
    }

    /// Each call in turn fails with each errno, and the error names operation, path and cause.
    @Test(
        arguments: [
            (FileSystemCall.openat, FileSystemError.Operation.openFile), (.fstat, .readAttributes),
            (.pread, .readContent), (.lseek, .readContent), (.listxattr, .readExtendedAttributes),
        ], [EACCES, EIO, ENOENT, EMFILE, ESTALE, ENOMEM])
    func everyFailureIsNamed(at: (call: FileSystemCall, operation: FileSystemError.Operation), failure: CInt)
        throws
    {
        let work = try TemporaryDirectory()
        work.write("f", "content")
        truncate(work.text("f"), 1 << 20)
        let calls = FileSystemCalls { call, _ in call == at.call ? failure : 0 }
        let error = #expect(throws: FileSystemError.self) {
            var file = try opened(work, "f", calls: calls)
            try file.loadExtendedAttributes()
            _ = try file.dataRegions()
            _ = try read(&file, 10)
            _ = try file.finish()
        }
        #expect(error?.operation == at.operation && error?.errorNumber == failure)
        #expect(error?.path == work.path("f"))
        #expect(error.map(\.description)?.contains(work.text("f")) == true)
        #expect(error.map(\.description)?.contains(String(cString: strerror(failure))) == true)
    }

    @Test func opensWithoutPermissionToKeepTheAccessTime() throws {
        let work = try TemporaryDirectory()
        work.write("f", "x")
        let opens = Counter()
        let calls = FileSystemCalls { call, _ in call == .openat && opens.next() == 0 ? EPERM : 0 }
        var file = try opened(work, "f", calls: calls)
        #expect(try read(&file, 9) == Array("x".utf8))
        #expect(opens.value == 2)
        _ = try file.finish()
    }

    @Test func findsTheDataOfASparseFile() throws {
        let work = try TemporaryDirectory()
        let descriptor = Glibc.open(work.text("s"), O_WRONLY | O_CREAT, 0o644)
        for offset in [1 << 20, 64 << 20] { pwrite(descriptor, "x", 1, off_t(offset)) }
        ftruncate(descriptor, 1 << 30)
        close(descriptor)
        let file = try opened(work, "s")
        let regions = try file.dataRegions()
        #expect(regions.map(\.offset) == [1 << 20, 64 << 20])
        #expect(regions.allSatisfy { $0.length > 0 && $0.length <= 1 << 16 })
        #expect(try file.dataRegion(from: 65 << 20) == nil)
        _ = try file.finish()

        let ignorant = FileSystemCalls { call, _ in call == .lseek ? EINVAL : 0 }
        let other = try opened(work, "s", calls: ignorant)
        #expect(try other.dataRegions() == [DataRegion(offset: 0, length: 1 << 30)])
        _ = try other.finish()
    }

    @Test func messagesEscapeWhatIsNotText() {
        let error = FileSystemError(
            .openFile, errorNumber: EACCES, path: Array("/a\n\\".utf8) + [0xff, 0xc3, 0xa9])
        #expect(
            error.description
                == "cannot open file '/a\\n\\\\\\xffé': Permission denied; "
                + "run as a user that may read it, or exclude it")
    }
}
