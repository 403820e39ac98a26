import Glibc
import RepoBase
import Testing

@testable import Ingest

@Suite struct TreeWalkerTests {
    @Test func goesDepthFirstInOrderOfBytes() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("b")
        work.write("b.c", "")
        work.write("b/z", "1")
        work.makeDirectory("b/d")
        work.write("a", "")
        work.write([0xff, 0x0a], [])
        let (visitor, statistics) = work.walk()
        #expect(visitor.events == ["+", "a", "+b", "+b/d", "-b/d", "b/z", "-b", "b.c", "\\xff\\n", "-"])
        #expect(visitor.problems.isEmpty)
        #expect(statistics.entries == 4 && statistics.directories == 3)
        #expect(visitor.entries.map(\.depth) == [0, 1, 1, 2, 2, 1, 1])
    }

    @Test func rootMayBeAFileALinkOrADot() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("d")
        work.write("d/f", "x")
        symlink("d", work.text("link"))
        symlink("nowhere", work.text("dangling"))
        let roots = ["d/f", "link", "dangling", "d/", "d/.", "missing"].map { work.path($0) }
        var visitor = RecordingVisitor()
        visitor.root = work.path
        let statistics = TreeWalker().walk(roots, visitor: &visitor)
        #expect(
            visitor.events == [
                "d/f", "+link", "link/f", "-link", "dangling", "+d/", "d/f", "-d/", "+d/.", "d/./f", "-d/.",
            ])
        #expect(visitor.entries.first { $0.path == work.path("dangling") }?.metadata.type == .symbolicLink)
        #expect(visitor.problems.map(\.code) == [.notFound])
        #expect(statistics.problems == 1)

        var options = WalkOptions()
        options.followsRoots = false
        var keeping = RecordingVisitor()
        _ = TreeWalker(options: options).walk([work.path("link")], visitor: &keeping)
        #expect(keeping.entries.map(\.metadata.type) == [.symbolicLink])
    }

    @Test func leavesOutWhatPatternsName() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("tmp")
        work.write("tmp/a", "")
        work.makeDirectory("d")
        work.write("d/x.log", "")
        work.write("d/keep.log", "")
        work.write("d/tmp", "")
        let (visitor, statistics) = work.walk {
            $0.excludes = ["*.log", "!keep.log", "tmp/"].map { ExcludePattern($0) }
        }
        #expect(visitor.events == ["+", "+d", "d/keep.log", "d/tmp", "-d", "-"])
        #expect(statistics.excluded == 2)
    }

    @Test func takesOnlyTheTagOfACache() throws {
        let work = try TemporaryDirectory()
        for (name, tag) in [
            ("c", "Signature: 8a477f597d28d172789f06886806bc55\n# x"), ("n", "Signature: 8a47"),
        ] {
            work.makeDirectory(name)
            work.write("\(name)/CACHEDIR.TAG", tag)
            work.write("\(name)/content", "")
        }
        work.makeDirectory("l")
        symlink("../c/CACHEDIR.TAG", work.text("l/CACHEDIR.TAG"))
        let (visitor, statistics) = work.walk { $0.skipsTaggedCaches = true }
        #expect(
            visitor.events == [
                "+", "+c", "c/CACHEDIR.TAG", "-c", "+l", "l/CACHEDIR.TAG", "-l",
                "+n", "n/CACHEDIR.TAG", "n/content", "-n", "-",
            ])
        #expect(statistics.cacheDirectories == 1)
        #expect(work.walk().visitor.events.contains("c/content"))
    }

    @Test(.enabled(if: geteuid() == 0, "mounting needs root"))
    func staysOnTheFileSystem() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("m")
        try #require(mount("none", work.text("m"), "tmpfs", 0, nil) == 0)
        defer { umount(work.text("m")) }
        work.write("m/f", "")
        let (staying, statistics) = work.walk { $0.staysOnFileSystem = true }
        #expect(staying.events == ["+", "+m", "-m", "-"])
        #expect(statistics.otherFileSystems == 1)
        #expect(work.walk().visitor.events == ["+", "+m", "m/f", "-m", "-"])
    }

    @Test func skipsSockets() throws {
        let work = try TemporaryDirectory()
        let socket = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: work.text("s").utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(result == 0)
        mkfifo(work.text("p"), 0o600)
        let (visitor, statistics) = work.walk()
        #expect(visitor.events == ["+", "p", "-"])
        #expect(visitor.entries.last?.metadata.type == .fifo)
        #expect(statistics.sockets == 1)
    }

    /// 10,000 levels make a path of 500,000 bytes, over a hundred times PATH_MAX.
    @Test func depthBeyondPathMaxTakesFewDescriptors() throws {
        let work = try TemporaryDirectory()
        let depth = 10_000
        let name = String(repeating: "d", count: 50)
        var directory = work.open()
        let before = directory
        for _ in 0..<depth {
            try #require(mkdirat(directory, name, 0o755) == 0)
            let next = openat(directory, name, O_RDONLY | O_DIRECTORY)
            close(directory)
            directory = next
        }
        close(openat(directory, "leaf", O_WRONLY | O_CREAT, 0o644))
        close(directory)

        /// Keeps no paths: each is hundreds of kilobytes long.
        struct Measuring: TreeVisitor {
            var deepest = 0
            var longestPath = 0
            var highestDescriptor: CInt = 0
            var problems: [FileSystemError] = []

            mutating func enterDirectory(_ entry: WalkedEntry) { visit(entry) }
            mutating func visit(_ entry: WalkedEntry) {
                deepest = max(deepest, entry.depth)
                longestPath = max(longestPath, entry.path.count)
                highestDescriptor = max(highestDescriptor, entry.directory)
            }
            mutating func leaveDirectory(path: [UInt8], isComplete: Bool) {}
            mutating func problem(_ error: FileSystemError) { problems.append(error) }
        }
        var visitor = Measuring()
        let statistics = TreeWalker().walk([work.path], visitor: &visitor)
        #expect(visitor.problems.isEmpty)
        #expect(statistics.directories == depth + 1)
        #expect(visitor.deepest == depth + 1)
        #expect(visitor.longestPath == work.path.count + depth * 51 + 5)
        // Other tests run in this process too.
        #expect(visitor.highestDescriptor < before + 200)
    }

    @Test func returnsToParentsOfAMovedDirectory() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("a")
        work.makeDirectory("a/b")
        work.makeDirectory("a/b/c")
        work.makeDirectory("a/b/c/d")
        work.write("a/b/c/d/f", "")
        work.write("a/b/z", "")
        work.write("a/z", "")
        let (visitor, _) = work.walk(
            { $0.maximumOpenDirectories = 2 },
            onVisit: { entry in
                // c goes elsewhere, so that its `..` is no longer b.
                if entry.name == Array("f".utf8) { rename(work.text("a/b/c"), work.text("c")) }
            })
        #expect(visitor.problems.isEmpty)
        #expect(visitor.events.contains("a/b/z") && visitor.events.contains("a/z"))
    }

    @Test func saysWhatItCouldNotComeBackTo() throws {
        let work = try TemporaryDirectory()
        for name in ["a", "a/b", "a/b/c", "a/b/c/d", "other"] { work.makeDirectory(name) }
        work.write("a/b/c/d/f", "")
        work.write("a/b/z", "")
        work.write("z", "")
        let (visitor, _) = work.walk(
            { $0.maximumOpenDirectories = 2 },
            onVisit: { entry in
                if entry.name == Array("f".utf8) {
                    rename(work.text("a/b/c"), work.text("c"))
                    rename(work.text("a/b"), work.text("other/b"))
                }
            })
        #expect(visitor.problems.map(\.operation) == [.returnToDirectory])
        #expect(visitor.problems.map(\.path) == [work.path("a/b")])
        #expect(visitor.incomplete == ["a/b"])
        #expect(
            visitor.events.suffix(9) == [
                "-a/b", "-a", "+other", "+other/b", "other/b/z", "-other/b", "-other", "z", "-",
            ])
    }

    @Test func directoryExchangedForALinkIsNotFollowed() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("d")
        work.makeDirectory("secret")
        work.write("secret/s", "")
        let calls = FileSystemCalls { call, name in
            if call == .openat, name == Array("d".utf8) {
                rmdir(work.text("d"))
                symlink("secret", work.text("d"))
            }
            return 0
        }
        let (visitor, _) = work.walk(calls: calls)
        #expect(visitor.problems.map(\.code) == [.replaced])
        #expect(visitor.problems.map(\.path) == [work.path("d")])
        #expect(!visitor.events.contains("d/s"))
    }

    /// Every call of the walk fails once with every errno: the walk ends, names the path, takes the rest.
    @Test(
        arguments: [FileSystemCall.openat, .fstatat, .fstat, .getdents64],
        [EACCES, EIO, ENOENT, EMFILE, ENOMEM, ESTALE, ELOOP, ENOTDIR])
    func goesOnAfterAnyFailure(call: FileSystemCall, failure: CInt) throws {
        let work = try TemporaryDirectory()
        for name in ["a", "a/b", "c"] { work.makeDirectory(name) }
        for name in ["a/b/f", "a/g", "c/h", "z"] { work.write(name, "") }
        let whole = work.walk().visitor
        var failed = 0
        for position in 0..<100 {
            let count = Counter()
            let calls = FileSystemCalls { made, _ in
                made == call && count.next() == position ? failure : 0
            }
            let (visitor, statistics) = work.walk(calls: calls)
            if count.value <= position { break }
            failed += 1
            // A call that serves to reopen or to skip an access time has another way.
            #expect(visitor.problems.count == 1, "call \(position)")
            #expect(statistics.problems == 1)
            #expect(visitor.problems.allSatisfy { $0.errorNumber == failure && !$0.path.isEmpty })
            #expect(Set(visitor.events).isSubset(of: whole.events))
            let entered = visitor.events.filter { $0.hasPrefix("+") }.map { $0.dropFirst() }
            let left = visitor.events.filter { $0.hasPrefix("-") }.map { $0.dropFirst() }
            #expect(entered.sorted() == left.sorted())
        }
        #expect(failed >= 4)
    }

    @Test func directoryClosedToUsIsTakenWithoutContent() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("d")
        work.write("d/f", "")
        let calls = FileSystemCalls { call, name in
            call == .openat && name == Array("d".utf8) ? EACCES : 0
        }
        let (visitor, _) = work.walk(calls: calls)
        #expect(visitor.events == ["+", "+d", "-d", "-"])
        #expect(visitor.incomplete == ["d"])
    }

    @Test func whatTheVisitorThrowsEndsTheWalk() throws {
        struct Stop: Error {}
        struct Stopping: TreeVisitor {
            typealias Failure = Stop
            func enterDirectory(_ entry: WalkedEntry) {}
            func visit(_ entry: WalkedEntry) throws(Stop) { throw Stop() }
            func leaveDirectory(path: [UInt8], isComplete: Bool) {}
            func problem(_ error: FileSystemError) {}
        }
        let work = try TemporaryDirectory()
        work.write("f", "")
        var visitor = Stopping()
        #expect(throws: Stop.self) { _ = try TreeWalker().walk([work.path], visitor: &visitor) }
    }
}
