import Glibc
import Testing

@testable import Ingest

@Suite struct ContentProfileTests {
    func profile(_ path: String, _ header: [UInt8], size: UInt64? = nil, clusterOffset: Int? = nil)
        -> ContentProfile
    {
        header.withUnsafeBytes {
            ContentProfile(
                recognising: Array(path.utf8), clusterOffset: clusterOffset,
                header: UnsafeRawBufferPointer(rebasing: $0.prefix(ContentProfile.headerSize)),
                size: size ?? UInt64(header.count))
        }
    }

    /// 4 KiB of zeros with bytes put at offsets.
    func header(_ parts: [(offset: Int, bytes: [UInt8])]) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 4096)
        for (offset, bytes) in parts { header.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
        return header
    }

    /// PageHeaderData with the fields that are looked at.
    func page(_ pageSize: Int = 8192, lower: Int = 24, upper: Int = 8192, version: Int = 4) -> [UInt8] {
        let fields = [lower, upper, pageSize, pageSize | version]
        let bytes = fields.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
        return header([(12, bytes)]) + [UInt8](repeating: 0, count: max(0, pageSize - 4096))
    }

    @Test(arguments: [
        ("base/5/1259", true), ("base/5/1259_fsm", true), ("base/5/16384_vm", true), ("base/5/16384.1", true),
        ("base/5/16384_init", true), ("base/5/16384_fsm.2", true), ("global/1262", true),
        ("pg_tblspc/16400/PG_15_202209061/5/16401", true),
        ("base/5/pg_filenode.map", false), ("base/5/PG_VERSION", false), ("base/5/16384_x", false),
        ("base/5/16384.", false), ("global/pg_control", false), ("base/x/1", false), ("5/1259", false),
        ("pg_wal/000000010000000000000001", false), ("base/5/12345678901", false),
    ])
    func placesInsideADataDirectory(path: String, isRelation: Bool) {
        let zeros = [UInt8](repeating: 0, count: 8192)
        let expected: ContentProfile = isRelation ? .pageAligned(pageSize: 8192) : .contentDefined
        #expect(profile("/x/data/" + path, zeros, clusterOffset: 8) == expected)
        // Without a data directory around it the first page must look like one.
        #expect(profile("/x/data/" + path, zeros) == .contentDefined)
        #expect(profile("/x/data/" + path, page()) == expected)
    }

    @Test func pageHeadersMustBeSane() {
        #expect(profile("base/1/2", page(32768, upper: 32768)) == .pageAligned(pageSize: 32768))
        #expect(profile("base/1/2", page(lower: 20)) == .contentDefined)
        #expect(profile("base/1/2", page(lower: 400, upper: 300)) == .contentDefined)
        #expect(profile("base/1/2", page(version: 5)) == .contentDefined)
        #expect(profile("base/1/2", page(12288)) == .contentDefined)
        #expect(profile("base/1/2", []) == .contentDefined)
    }

    struct Image: Sendable {
        let format: String
        let offset: Int
        let bytes: [UInt8]

        init(_ format: String, at offset: Int, _ text: String = "", _ bytes: [UInt8] = []) {
            self.format = format
            self.offset = offset
            self.bytes = Array(text.utf8) + bytes
        }
    }

    static func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    static let qcow2: [UInt8] = [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3] + zeros(12) + [0, 0, 0, 16]
    static let ext4: [UInt8] = [2, 0, 0, 0] + zeros(28) + [0x53, 0xef]
    static let partition: [UInt8] = [0x80, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0]
    static let images = [
        Image("qcow2", at: 0, "", qcow2),
        Image("vmdk", at: 0, "KDMV", [1, 0, 0, 0, 3, 0, 0, 0]),
        Image("vdi", at: 0x40, "", [0x7f, 0x10, 0xda, 0xbe, 1, 0, 1, 0]),
        Image("vhd", at: 0, "conectix", [0, 0, 0, 2, 0, 1, 0, 0]),
        Image("vhdx", at: 0, "vhdxfile"),
        Image("ext4", at: 1024 + 24, "", ext4),
        Image("xfs", at: 0, "XFSB", [0, 0, 0x10, 0]),
        Image("luks", at: 0, "", [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe, 0, 2]),
        Image("mbr", at: 446, "", partition + zeros(48) + [0x55, 0xaa]),
        Image("gpt", at: 510, "", [0x55, 0xaa] + Array("EFI PART".utf8)),
    ]

    @Test(arguments: images)
    func diskImages(image: Image) {
        let header = header([(image.offset, image.bytes)])
        #expect(profile("disk", header, size: 16 << 20) == .pageAligned(pageSize: 4096))
        // One byte of the signature wrong; then a raw image too small, then with a part of a sector.
        var bytes = image.bytes
        bytes[["ext4", "mbr"].contains(image.format) ? bytes.count - 1 : 0] ^= 0xff
        #expect(profile("disk", self.header([(image.offset, bytes)]), size: 16 << 20) == .contentDefined)
        if ["ext4", "xfs", "luks", "mbr", "gpt"].contains(image.format) {
            #expect(profile("disk", header, size: 15 << 20) == .contentDefined)
            #expect(profile("disk", header, size: 16 << 20 + 1) == .contentDefined)
        }
    }

    @Test func streamOptimisedImagesAreStreams() {
        let bytes = Array("KDMV".utf8) + [3, 0, 0, 0, 0, 0, 3, 0]
        #expect(profile("x.vmdk", header([(0, bytes)]), size: 1 << 24) == .contentDefined)
    }

    @Test(
        arguments: [
            ([0, 0, 0x40, 0x21], 16384), ([0, 0, 0, 0x15], 16384), ([0, 0, 0, 0x21 | 4 << 1], 8192),
            ([0, 0, 0x01, 0xa1], 32768), ([0, 0, 0, 0x1f], nil),
        ] as [([UInt8], Int?)])
    func tablespacesOfInnoDB(flags: [UInt8], pageSize: Int?) {
        let header = header([
            (24, [0, 8]), (34, [0, 0, 0, 9]), (38, [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7]), (54, flags),
        ])
        let expected = pageSize.map { ContentProfile.pageAligned(pageSize: $0) } ?? .contentDefined
        #expect(profile("t.ibd", header, size: 7 * 65536) == expected)
        #expect(profile("t.ibd", header, size: 7 * 65536 + 1) == .contentDefined)
        #expect(profile("t.ibd", [UInt8](repeating: 0, count: 4096), size: 65536) == .contentDefined)
    }

    @Test(.enabled(if: Program.isAvailable("/usr/bin/python3")), arguments: [512, 4096, 65536])
    func realSQLiteDatabase(pageSize: Int) throws {
        let work = try TemporaryDirectory()
        let script = """
            import sqlite3, sys
            db = sqlite3.connect(sys.argv[1])
            db.execute(f"pragma page_size={sys.argv[2]}")
            db.execute("create table t(a)")
            db.commit()
            """
        try Program.run("/usr/bin/python3", ["-c", script, work.text("db"), String(pageSize)])
        let content = try file(work, "db")
        #expect(profile("db", content) == .pageAligned(pageSize: pageSize))
        #expect(profile("notes", Array("SQLite format 3\0, as its manual says".utf8)) == .contentDefined)
    }

    @Test(.enabled(if: Program.isAvailable("/usr/sbin/mkfs.ext4")))
    func realFileSystemImage() throws {
        let work = try TemporaryDirectory()
        work.write("image", "")
        truncate(work.text("image"), 32 << 20)
        try Program.run("/usr/sbin/mkfs.ext4", ["-q", "-F", work.text("image")])
        #expect(profile("image", try file(work, "image")) == .pageAligned(pageSize: 4096))
    }

    static let initdb = ["15", "16", "17", "18"].map { "/usr/lib/postgresql/\($0)/bin/initdb" }
        .last(where: Program.isAvailable)

    /// Every file of a real cluster: relations by their place, with and without the cluster around them.
    @Test(.enabled(if: initdb != nil && geteuid() == 0 && Program.isAvailable("/usr/sbin/runuser")))
    func realPostgreSQLCluster() throws {
        let work = try TemporaryDirectory()
        chmod(work.text, 0o777)
        try Program.run(
            "/usr/sbin/runuser",
            ["-u", "postgres", "--", Self.initdb!, "-N", "-A", "trust", "-D", work.text("data")])
        let (visitor, _) = work.walk()
        var relations = 0
        var recognisedWithoutCluster = 0
        for entry in visitor.entries where entry.metadata.type == .regular {
            let relative = String(decoding: entry.path.dropFirst(work.path("data/").count), as: UTF8.self)
            #expect(entry.clusterOffset == work.path("data/").count)
            let isRelation = relative.contains(/^(base\/\d+|global)\/\d+(_[a-z]+)?$/)
            let content = try file(work, "data/" + relative)
            let found = profile(
                String(decoding: entry.path, as: UTF8.self), content, clusterOffset: entry.clusterOffset)
            let expected: ContentProfile =
                isRelation && !content.isEmpty ? .pageAligned(pageSize: 8192) : .contentDefined
            #expect(found == expected, "\(relative)")
            if expected != .contentDefined {
                relations += 1
                if profile("base/1/1", content) == expected { recognisedWithoutCluster += 1 }
            }
        }
        #expect(relations > 500)
        #expect(recognisedWithoutCluster * 10 > relations * 9)
    }

    func file(_ work: TemporaryDirectory, _ name: String) throws -> [UInt8] {
        var file = try OpenedFile(
            work.path(name), in: AT_FDCWD, path: work.path(name), accounts: AccountNames())
        var bytes = [UInt8](repeating: 0, count: Int(file.metadata.size))
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        #expect(count == bytes.count)
        _ = try file.finish()
        return bytes
    }
}
