import CLinux

/// What kind of file system a store's directory is on, as far as it promises less than a disk of this machine
/// (statfs(2); the numbers are those of include/uapi/linux/magic.h, GPFS's and Lustre's those of statfs(2)).
enum FileSystemKind: Hashable, Sendable {
    case local
    case nfs, smb
    /// A program of this machine, which may keep its files anywhere.
    case fuse
    /// Shared by machines, with the promises of a local one.
    case cluster
    /// Gone when the machine restarts.
    case memory

    init(_ descriptor: CInt) { self.init(magic: UInt32(truncatingIfNeeded: linux_file_system(descriptor))) }

    init(magic: UInt32) {
        self =
            switch magic {
            case 0x6969: .nfs
            case 0x517B, 0xFF53_4D42, 0xFE53_4D42: .smb
            case 0x6573_5546: .fuse
            // AFS, 9P, Ceph, OCFS2, GPFS, Lustre.
            case 0x5346_414F, 0x0102_1997, 0x00C3_6400, 0x7461_636F, 0x4750_4653, 0x0BD0_0BD0: .cluster
            case 0x0102_1994, 0x8584_58F6: .memory
            default: .local
            }
    }

    /// What fails there may succeed later, and an error of input or output tells nothing of a disk.
    var isNetwork: Bool {
        switch self {
        case .nfs, .smb, .fuse, .cluster: true
        case .local, .memory: false
        }
    }

    /// For people who decide whether a repository may live there.
    var finding: StoreFinding {
        let subject = "file system"
        switch self {
        case .local: return StoreFinding(subject, .noted, "of this machine")
        case .nfs:
            return StoreFinding(subject, .noted, "NFS: mount it 'hard', and export it 'sync'; an 'async' export loses what a server had not written when it crashed")
        case .smb:
            return StoreFinding(
                subject, .warning, "SMB: whether a server's fsync reaches its disk is the server's setting ('strict sync' of Samba); prefer NFS or SFTP to the same machine")
        case .fuse:
            return StoreFinding(
                subject, .warning, "FUSE: durability and create-only names are what the program behind it makes of them; prefer to reach its storage directly (s3:, sftp:)")
        case .cluster: return StoreFinding(subject, .noted, "shared by machines")
        case .memory: return StoreFinding(subject, .warning, "in memory: gone when the machine restarts")
        }
    }
}
