import Foundation
import Testing

/// A library that makes calls on the files of one folder fail, in a program that is started with it: what a dying disk does.
struct FailingFiles {
    enum Harm: String, CaseIterable {
        /// fsync(2) and fdatasync(2) say EIO from then on.
        case synchronising
        /// Writes say EIO from then on.
        case writing
        /// Writes take half of what they are given, now and then, as they may.
        case shortWrites
        /// rename(2), link(2) and unlink(2) say EIO from then on.
        case naming
        /// close(2) of what was open for writing says EDQUOT from then on, as on a network file system.
        case closing
        /// syncfs(2) says EIO.
        case flushing

        /// Those that a store meets.
        static let ofStores: [Harm] = [.synchronising, .writing, .shortWrites, .naming]
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <fcntl.h>
        #include <stdatomic.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/uio.h>
        #include <unistd.h>
        static atomic_long calls;
        static int has(const char *harm) { const char *set = getenv("FAILING_HARM"); return set && strcmp(set, harm) == 0; }
        static int below(const char *path) {
            const char *folder = getenv("FAILING_FOLDER");
            return folder && strncmp(path, folder, strlen(folder)) == 0;
        }
        static int concerns(int descriptor) {
            char link[64], path[4096];
            snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
            ssize_t length = readlink(link, path, sizeof path - 1);
            if (length < 0) return 0;
            path[length] = 0;
            return below(path);
        }
        static int failed(void) { errno = EIO; return -1; }
        static int due(void) { return atomic_fetch_add(&calls, 1) >= atol(getenv("FAILING_AFTER")); }
        #define ORIGINAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
        static size_t shorter(int descriptor, size_t count) {
            if (count < 2 || !has("shortWrites") || !concerns(descriptor) || atomic_fetch_add(&calls, 1) % 3) return count;
            return count >= 8192 ? count / 2 / 4096 * 4096 : count / 2;
        }
        static int refused(int descriptor) { return has("writing") && concerns(descriptor) && due(); }
        ssize_t write(int descriptor, const void *bytes, size_t count) {
            if (refused(descriptor)) return failed();
            return ORIGINAL(write)(descriptor, bytes, shorter(descriptor, count));
        }
        ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
            if (refused(descriptor)) return failed();
            return ORIGINAL(pwrite)(descriptor, bytes, shorter(descriptor, count), offset);
        }
        ssize_t writev(int descriptor, const struct iovec *parts, int count) {
            if (refused(descriptor)) return failed();
            return ORIGINAL(writev)(descriptor, parts, count);
        }
        int fsync(int descriptor) {
            if (has("synchronising") && concerns(descriptor) && due()) return failed();
            return ORIGINAL(fsync)(descriptor);
        }
        int fdatasync(int descriptor) {
            if (has("synchronising") && concerns(descriptor) && due()) return failed();
            return ORIGINAL(fdatasync)(descriptor);
        }
        int close(int descriptor) {
            int flags = has("closing") ? fcntl(descriptor, F_GETFL) : -1;
            int fails = flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH) && concerns(descriptor) && due();
            int result = ORIGINAL(close)(descriptor);
            if (!fails) return result;
            errno = EDQUOT;
            return -1;
        }
        int syncfs(int descriptor) {
            if (has("flushing") && concerns(descriptor) && due()) return failed();
            return ORIGINAL(syncfs)(descriptor);
        }
        static int unnamed(int folder, const char *path) {
            if (!has("naming")) return 0;
            return (path[0] == '/' ? below(path) : concerns(folder)) && due();
        }
        int renameat(int from, const char *old, int to, const char *new) {
            return unnamed(from, old) ? failed() : ORIGINAL(renameat)(from, old, to, new);
        }
        int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
            return unnamed(from, old) ? failed() : ORIGINAL(renameat2)(from, old, to, new, flags);
        }
        int linkat(int from, const char *old, int to, const char *new, int flags) {
            return unnamed(to, new) ? failed() : ORIGINAL(linkat)(from, old, to, new, flags);
        }
        int unlinkat(int folder, const char *path, int flags) {
            return unnamed(folder, path) ? failed() : ORIGINAL(unlinkat)(folder, path, flags);
        }
        """

    private let library: String
    /// Below which calls are concerned.
    let concerned: String

    /// Compiled by the compiler that Swift comes with.
    init(in folder: String, concerned: String) throws {
        self.concerned = concerned
        let code = folder + "/failing-files.c"
        library = folder + "/failing-files.so"
        try Data((Self.source + "\n").utf8).write(to: URL(fileURLWithPath: code))
        let compiler = Process()
        compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        compiler.arguments = ["clang", "-shared", "-fPIC", "-O1", "-o", library, code, "-ldl"]
        try compiler.run()
        compiler.waitUntilExit()
        try #require(compiler.terminationStatus == 0)
    }

    /// What the program is started with.
    /// - Parameter calls: that still work.
    func environment(_ harm: Harm, after calls: Int) -> [String: String?] {
        ["LD_PRELOAD": library, "FAILING_HARM": harm.rawValue, "FAILING_FOLDER": concerned, "FAILING_AFTER": "\(calls)"]
    }
}
