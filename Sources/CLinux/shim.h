// What Linux offers and Swift's Glibc module does not show: extended attributes, directory reading
// without DIR streams, renaming onto free names only, and constants that glibc hides behind _GNU_SOURCE.
#ifndef REPO_CLINUX_SHIM_H
#define REPO_CLINUX_SHIM_H

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

// Kernel ABI, include/uapi/asm-generic/fcntl.h and include/uapi/linux/fs.h; the same on x86-64 and
// arm64. They are repeated because glibc defines them for _GNU_SOURCE only, and a Clang module cannot
// choose that once another module has included the header.
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

#endif
