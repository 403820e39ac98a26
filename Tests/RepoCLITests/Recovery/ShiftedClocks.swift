import Foundation
import PostgresTesting
import RepoBase

/// Gives each process of a server a clock that is a few milliseconds ahead of the next one's, as far as it asks by gettimeofday(2): so commit
/// times do not ascend in the log. On its own a server writes some such commits in an hour, and none in a test.
enum ShiftedClocks {
    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <sys/time.h>
        #include <unistd.h>
        int gettimeofday(struct timeval *restrict time, void *restrict zone) {
            static int (*original)(struct timeval *, void *);
            if (!original) original = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
            int result = original(time, zone);
            if (result == 0) {
                time->tv_usec += getpid() % 7 * 3000;
                if (time->tv_usec >= 1000000) { time->tv_usec -= 1000000; time->tv_sec++; }
            }
            return result;
        }
        """

    /// What a server is started with. Compiled by the compiler that Swift comes with.
    static func environment(in folder: String) throws -> [String] {
        let (code, library) = (folder + "/shifted-clocks.c", folder + "/shifted-clocks.so")
        try Data((source + "\n").utf8).write(to: URL(fileURLWithPath: code))
        try PostgresServer.run(["/bin/sh", "-c", "clang -shared -fPIC -O1 -o \(library) \(code) -ldl"], asServer: false)
        try PostgresServer.own(library)
        return ["LD_PRELOAD=\(library)"]
    }
}
