import Glibc
import RepoBase
import StorageTesting
import Testing

@testable import Storage

/// Every call of a put in turn is the last that the process makes; and every call in turn fails.
@Suite("Puts that do not end well")
struct LocalStoreCrashTests {
    /// How a name that exists is refused.
    enum Naming: CaseIterable {
        case renames
        case links
    }

    /// Records calls, and lets everything from the n-th on fail.
    final class Script: Sendable {
        private let state = Monitor<[String]>([])
        let log: @Sendable () -> [String]
        let calls: LocalStoreCalls

        init(naming: Naming, _ intervene: @escaping @Sendable (Int, LocalStoreCall) -> CInt) {
            let state = state
            log = { state.withLock { $0 } }
            calls = LocalStoreCalls { call, path in
                let ordinal = state.withLock { log in
                    log.append(path.isEmpty ? call.rawValue : "\(call.rawValue) \(Self.stable(path))")
                    return log.count
                }
                let failure = intervene(ordinal, call)
                if failure != 0 { return .fail(failure) }
                if naming == .links, call == .renameNoReplace { return .fail(EINVAL) }
                return .proceed
            }
        }

        /// Names of temporary files are random.
        private static func stable(_ path: String) -> String {
            if path.hasPrefix("/") { return "root" }
            return path.contains(".tmp-") ? path.prefix { $0 != "." } + ".tmp" : path
        }
    }

    let key = StoreKey("packs/ab/object")
    let old = [UInt8](repeating: 1, count: 5000)
    let new = [UInt8](repeating: 2, count: 7000)

    @Test(
        "A crash leaves the old state or the new, and nothing half", arguments: [PutMode.create, .replace],
        Naming.allCases)
    func crash(_ mode: PutMode, _ naming: Naming) throws {
        var sawOld = false
        var sawNew = false
        for last in 0... {
            let folder = try TemporaryDirectory()
            let plain = try LocalStore(path: folder.path, mustExist: true)
            if mode == .replace { try plain.put(key, old, .create) }
            // The first calls open the store itself.
            let script = Script(naming: naming) { ordinal, _ in ordinal > 2 + last ? EIO : 0 }
            let dying = try LocalStore(path: folder.path, mustExist: true, calls: script.calls)
            let survived = code { try dying.put(key, new, mode) } == nil

            let expected = mode == .replace ? [old, new] : [nil, new]
            let found = try plain.stat(key) == nil ? nil : plain.get(key, atMost: 10_000)
            #expect(expected.contains(found), "after \(script.log().dropFirst(2).prefix(last))")
            #expect(try plain.list("").map(\.key) == (found == nil ? [] : [key]))
            if found == new { sawNew = true } else { sawOld = true }

            // What a crash leaves does not stand in the way.
            try plain.put(key, new, .replace)
            _ = try plain.removeAbandonedPuts(olderThan: .seconds(-10))
            #expect(folder.contents() == ["packs", "packs/ab", "packs/ab/object"])
            if survived {
                #expect(found == new)
                break
            }
        }
        #expect(sawOld && sawNew)
    }

    @Test(
        "A failing call is reported, cleaned up, and leaves no descriptor",
        arguments: [PutMode.create, .replace], Naming.allCases)
    func failure(_ mode: PutMode, _ naming: Naming) throws {
        for (number, expected) in [
            (ENOSPC, RepoError.Code.storeFull), (EDQUOT, .storeFull), (EROFS, .failed), (EACCES, .failed),
            (EPERM, .failed), (EIO, .failed), (ESTALE, .unreachable), (ETIMEDOUT, .unreachable),
        ] {
            for failing in 1... {
                let folder = try TemporaryDirectory()
                let script = Script(naming: naming) { ordinal, _ in ordinal == 2 + failing ? number : 0 }
                let store = try LocalStore(path: folder.path, mustExist: true, calls: script.calls)
                var thrown: RepoError?
                do { try store.put(key, new, mode) } catch let error as RepoError { thrown = error }
                let log = script.log().dropFirst(2)
                guard log.count >= failing else {
                    #expect(thrown == nil)
                    break
                }
                let call = log[log.startIndex + failing - 1]
                if let thrown {
                    #expect(thrown.code == expected, "\(call) with errno \(number)")
                    #expect(
                        thrown.message.contains("packs/ab/object") && thrown.message.contains(folder.path))
                    #expect(!thrown.advice.isEmpty)
                } else {
                    // The object has its name and is durable; the temporary name is only a stray.
                    #expect(call == "unlink packs/ab/.tmp" || call == "close", "\(call) must be reported")
                }
                let temporaries = folder.contents().filter { $0.contains(".tmp-") }
                #expect(temporaries.isEmpty || call.hasPrefix("unlink"), "\(call) left \(temporaries)")
                let isFailedOpen = call.hasPrefix("open")
                let opened = log.count { $0.hasPrefix("open") } - (isFailedOpen ? 1 : 0)
                #expect(log.count { $0 == "close" } == opened, "\(call) leaked")
            }
        }
    }

    @Test("Bytes are durable before the name, and the name before the return")
    func order() throws {
        let folder = try TemporaryDirectory()
        let script = Script(naming: .renames) { _, _ in 0 }
        let store = try LocalStore(path: folder.path, mustExist: true, calls: script.calls)
        try store.put(key, new, .create)
        let first = Array(script.log().dropFirst(2))
        #expect(
            first == [
                "stat root", "mkdir packs", "open .", "fsync .", "close", "mkdir packs/ab", "open packs",
                "fsync packs", "close",
                "open packs/ab/.tmp", "write", "fsync", "close", "renameNoReplace packs/ab/object",
                "open packs/ab", "fsync packs/ab", "close",
            ])
        try store.put(key, old, .replace)
        #expect(
            script.log().dropFirst(2 + first.count) == [
                "stat root", "open packs/ab/.tmp", "write", "fsync", "close", "rename packs/ab/object",
                "open packs/ab", "fsync packs/ab", "close",
            ])
        let before = script.log().count
        try store.delete(key)
        #expect(
            script.log().dropFirst(before) == [
                "unlink packs/ab/object", "open packs/ab", "fsync packs/ab", "close",
            ])
    }

    @Test("Interrupted and short calls lose nothing")
    func shortCalls() throws {
        let folder = try TemporaryDirectory()
        let count = Monitor(0)
        let calls = LocalStoreCalls { call, _ in
            let ordinal = count.withLock { count in
                count += 1
                return count
            }
            if ordinal % 3 == 0, call != .close { return .fail(EINTR) }
            return .atMost(777)
        }
        let store = try LocalStore(path: folder.path, mustExist: true, calls: calls)
        let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }
        try store.put(key, bytes, .create)
        #expect(try store.get(key, atMost: 100_000) == bytes)
        #expect(try LocalStore(path: folder.path, mustExist: true).get(key, atMost: 100_000) == bytes)
        #expect(try store.list("").count == 1)
    }

    @Test("A file server's lost answer to link does not turn a win into a conflict")
    func lostAnswer() throws {
        let folder = try TemporaryDirectory()
        let calls = LocalStoreCalls { call, path in
            switch call {
            case .renameNoReplace: return .fail(EINVAL)
            case .link:
                let temporary = folder.contents().first { $0.contains(".tmp-") }!
                _ = link("\(folder.path)/\(temporary)", "\(folder.path)/\(path)")
                return .fail(EEXIST)
            default: return .proceed
            }
        }
        let store = try LocalStore(path: folder.path, mustExist: true, calls: calls)
        try store.put(key, new, .create)
        #expect(try store.get(key, atMost: 10_000) == new)
        #expect(code { try store.put(key, old, .create) } == .conflict)
        #expect(folder.contents() == ["packs", "packs/ab", "packs/ab/object"])
    }

    @Test("A file system without fsync of directories is used as it is")
    func directoriesWithoutSynchronisation() throws {
        let folder = try TemporaryDirectory()
        let calls = LocalStoreCalls { call, path in
            call == .fsync && !path.isEmpty ? .fail(EINVAL) : .proceed
        }
        let store = try LocalStore(path: folder.path, mustExist: true, calls: calls)
        try store.put(key, new, .create)
        #expect(try store.get(key, atMost: 10_000) == new)
    }
}
