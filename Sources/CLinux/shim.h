// What Linux offers and Swift's Glibc module does not show: extended attributes, directory reading
// without DIR streams, renaming onto free names only, and constants that glibc hides behind _GNU_SOURCE.
#ifndef REPO_CLINUX_SHIM_H
#define REPO_CLINUX_SHIM_H

#include <malloc.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

// Kernel ABI, include/uapi/asm-generic/fcntl.h and include/uapi/linux/fs.h; the same on x86-64 and
// arm64. They are repeated because glibc defines them for _GNU_SOURCE only, and a Clang module cannot
// choose that once another module has included the header.
// O_DIRECT is the one that differs: arch/arm64/include/uapi/asm/fcntl.h.
#if defined(__aarch64__) || defined(__arm__)
static const int LINUX_O_DIRECT = 0200000;
#else
static const int LINUX_O_DIRECT = 040000;
#endif
static const int LINUX_O_NOATIME = 01000000;
static const int LINUX_AT_NO_AUTOMOUNT = 0x800;
static const int LINUX_SEEK_DATA = 3;
static const int LINUX_SEEK_HOLE = 4;

// struct linux_dirent64, include/linux/dirent.h: offsets of the fields of one record.
enum {
    LINUX_DIRENT64_RECLEN = 16,
    LINUX_DIRENT64_TYPE = 18,
    LINUX_DIRENT64_NAME = 19,
};

// syscall(2) is variadic, which Swift cannot call. The kernel moves the position of the open directory.
static inline ssize_t linux_getdents64(int fd, void *buffer, size_t size) {
    return syscall(SYS_getdents64, fd, buffer, size);
}

// pipe2(2), hidden behind _GNU_SOURCE: both ends closed on exec.
static inline int linux_pipe_cloexec(int ends[2]) {
    return (int)syscall(SYS_pipe2, ends, 02000000 /* O_CLOEXEC */);
}

// memfd_create(2), hidden behind _GNU_SOURCE: an anonymous file, closed on exec.
static inline int linux_memfd_create(const char *name) {
    return (int)syscall(SYS_memfd_create, name, 1U /* MFD_CLOEXEC */);
}

// renameat2(2) with RENAME_NOREPLACE (include/uapi/linux/fs.h): fails with EEXIST where the new name exists.
// EINVAL: the file system cannot do it.
static inline int linux_rename_noreplace(int from_dir, const char *from, int to_dir, const char *to) {
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 1u);
}

// fallocate(2), hidden behind _GNU_SOURCE, with FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE (include/uapi/linux/falloc.h):
// the range reads as zeros and takes no room. 64-bit machines only, where an offset is one argument.
static inline int linux_punch_hole(int fd, off_t offset, off_t length) {
    return (int)syscall(SYS_fallocate, fd, 3, offset, length);
}

// mallopt(3), whose header Swift's Glibc module leaves out: blocks from so many bytes on are the kernel's own pages. Returns 1, or 0 where it is refused.
static inline int linux_map_blocks_from(int bytes) { return mallopt(M_MMAP_THRESHOLD, bytes); }

// fstatfs(2), whose header Swift's Glibc module leaves out: the magic number of the file system that holds the open file, or -1.
static inline long linux_file_system(int fd) {
    struct statfs information;
    return fstatfs(fd, &information) == 0 ? (long)information.f_type : -1;
}

// syncfs(2), hidden behind _GNU_SOURCE: everything of the file system that holds the open file is on the disk on return.
int syncfs(int fd);
static inline int linux_syncfs(int fd) { return syncfs(fd); }

// sync_file_range(2) with SYNC_FILE_RANGE_WRITE: all of the file is on its way to the disk, and not waited for.
static inline int linux_start_writing(int fd) { return (int)syscall(SYS_sync_file_range, fd, 0L, 0L, 2); }

// close_range(2), hidden behind _GNU_SOURCE (Linux 5.9): closes every descriptor from `first` on. ENOSYS on older kernels.
static inline int linux_close_from(unsigned first) { return (int)syscall(SYS_close_range, first, ~0U, 0); }

// accept4(2), hidden behind _GNU_SOURCE: the connection is closed on exec.
static inline int linux_accept_cloexec(int socket) {
    return (int)syscall(SYS_accept4, socket, NULL, NULL, 02000000 /* SOCK_CLOEXEC */);
}

// posix_spawn_file_actions_addclosefrom_np(3), hidden behind _GNU_SOURCE (glibc 2.34): the child has no descriptor from `first` on. `actions` is a
// posix_spawn_file_actions_t; spawn.h would make types of signals this module's own.
extern int linux_actions_close_from(void *actions, int first) __asm__("posix_spawn_file_actions_addclosefrom_np");
static inline int linux_spawn_close_from(void *actions, int first) { return linux_actions_close_from(actions, first); }

// madvise(2), include/uapi/asm-generic/mman-common.h: the range is left out of core dumps.
static const int LINUX_MADV_DONTDUMP = 16;

// prctl(2) is variadic. PR_SET_DUMPABLE 0 (include/uapi/linux/prctl.h): no core dump, and ptrace(2) and /proc/<pid>/mem are for root alone. Until exec.
static inline int linux_forbid_dumps(void) { return (int)syscall(SYS_prctl, 4, 0, 0, 0, 0); }

// include/uapi/linux/fcntl.h and include/uapi/asm-generic/fcntl.h.
static const int LINUX_O_PATH = 010000000;
static const int LINUX_AT_EMPTY_PATH = 0x1000;
// UTIME_OMIT of utimensat(2), include/uapi/linux/stat.h's kernel side: include/linux/stat.h.
static const long LINUX_UTIME_OMIT = (1L << 30) - 2L;

#endif
