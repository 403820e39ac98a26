import CLinux
import Glibc
import RepoBase
import Testing

@testable import Ingest

@Suite struct FileMetadataTests {
    let accounts = AccountNames()

    @Test(.enabled(if: geteuid() == 0, "ownership and devices need root"))
    func tellsEverythingAboutAFile() throws {
        let work = try TemporaryDirectory()
        work.write("f", "12345")
        chown(work.text("f"), 4_000_000_001, 3_999_999_999)
        chmod(work.text("f"), 0o7751)
        let times = [
            timespec(tv_sec: -5, tv_nsec: 999_999_999), timespec(tv_sec: -86_400, tv_nsec: 123_456_789),
        ]
        utimensat(AT_FDCWD, work.text("f"), times, AT_SYMLINK_NOFOLLOW)
        link(work.text("f"), work.text("g"))
        let metadata = try FileMetadata(
            of: Array("f".utf8), in: work.open(), path: work.path("f"), accounts: accounts)
        #expect(metadata.type == .regular && metadata.permissions == 0o7751 && metadata.size == 5)
        #expect(metadata.userID == 4_000_000_001 && metadata.groupID == 3_999_999_999)
        #expect(metadata.userName.isEmpty && metadata.groupName.isEmpty)
        #expect(metadata.modificationTime == FileTime(seconds: -86_400, nanoseconds: 123_456_789))
        #expect(metadata.linkCount == 2 && metadata.deviceNumber == .none)
        let other = try FileMetadata(
            of: Array("g".utf8), in: work.open(), path: work.path("g"), accounts: accounts)
        #expect(other == metadata)
        #expect(other.isUnchanged(since: metadata))
    }

    @Test(.enabled(if: geteuid() == 0, "devices need root"))
    func tellsTypesAndDevices() throws {
        let work = try TemporaryDirectory()
        mknod(work.text("b"), S_IFBLK | 0o600, DeviceNumber(major: 259, minor: 0x12345).encoded)
        mknod(work.text("c"), S_IFCHR | 0o666, DeviceNumber(major: 1, minor: 3).encoded)
        mkfifo(work.text("p"), 0o600)
        symlink("x", work.text("l"))
        work.makeDirectory("d")
        let directory = work.open()
        defer { close(directory) }
        let found = try ["b", "c", "p", "l", "d"].map {
            try FileMetadata(of: Array($0.utf8), in: directory, path: [], accounts: accounts)
        }
        #expect(found.map(\.type) == [.blockDevice, .characterDevice, .fifo, .symbolicLink, .directory])
        #expect(found[0].deviceNumber == DeviceNumber(major: 259, minor: 0x12345))
        #expect(found[1].deviceNumber == DeviceNumber(major: 1, minor: 3))
        #expect(found[4].deviceNumber == .none)
        #expect(found[4].userName == Array("root".utf8) && found[4].groupName == Array("root".utf8))
    }

    @Test func deviceNumbersRoundTrip() {
        for (major, minor) in [(0, 0), (1, 3), (4095, 255), (4096, 256), (UInt32.max, UInt32.max)] {
            let number = DeviceNumber(major: UInt32(major), minor: UInt32(minor))
            #expect(DeviceNumber(encoded: number.encoded) == number)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "trusted and security attributes need root"))
    func readsAttributesOfEveryTypeAtAnyPath() throws {
        let work = try TemporaryDirectory()
        let name: [UInt8] = [0x66, 0xff]
        work.write(name, [])
        mkfifo(work.text("p"), 0o600)
        symlink("nowhere", work.text("l"))
        // VFS_CAP_REVISION_2, cap_net_bind_service+ep (linux/capability.h).
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4] + [UInt8](repeating: 0, count: 14)
        let long = [UInt8](repeating: 7, count: 3000)
        let file = work.path(name)
        for (attribute, value) in [("user.ü", long), ("security.capability", capability), ("trusted.t", [])] {
            try #require(file.withCString { Int(lsetxattr($0, attribute, value, value.count, 0)) } == 0)
        }
        try #require(lsetxattr(work.text("p"), "trusted.p", "x", 1, 0) == 0)
        try #require(lsetxattr(work.text("l"), "trusted.l", "y", 1, 0) == 0)
        let directory = work.open()
        defer { close(directory) }
        func attributes(_ name: [UInt8]) throws -> [ExtendedAttribute] {
            var metadata = try FileMetadata(of: name, in: directory, path: [], accounts: accounts)
            try metadata.loadExtendedAttributes(of: name, in: directory, path: [])
            return metadata.extendedAttributes
        }
        let expected = [("security.capability", capability), ("trusted.t", []), ("user.ü", long)]
            .map { ExtendedAttribute(name: Array($0.0.utf8), value: $0.1) }
        #expect(try attributes(name) == expected)
        #expect(try attributes(Array("p".utf8)).map(\.value) == [Array("x".utf8)])
        #expect(try attributes(Array("l".utf8)).map(\.value) == [Array("y".utf8)])

        var opened = try OpenedFile(name, in: directory, path: [], accounts: accounts)
        try opened.loadExtendedAttributes()
        #expect(opened.metadata.extendedAttributes == expected)
    }

    @Test(.enabled(if: Program.isAvailable("/usr/bin/setfacl")))
    func accessControlListsAreAmongTheAttributes() throws {
        let work = try TemporaryDirectory()
        work.makeDirectory("d")
        try Program.run("/usr/bin/setfacl", ["-m", "u:1234:rx,d:g:77:w", work.text("d")])
        var metadata = try FileMetadata(
            of: Array("d".utf8), in: work.open(), path: [], accounts: accounts)
        try metadata.loadExtendedAttributes(of: Array("d".utf8), in: work.open(), path: [])
        #expect(
            metadata.extendedAttributes.map { String(decoding: $0.name, as: UTF8.self) } == [
                "system.posix_acl_access", "system.posix_acl_default",
            ])
    }

    @Test func attributesThatGrowOrVanishMeanwhileAreReadAgain() throws {
        let work = try TemporaryDirectory()
        work.write("f", "")
        try #require(lsetxattr(work.text("f"), "user.a", "1", 1, 0) == 0)
        let directory = work.open()
        defer { close(directory) }
        let sizes = Counter()
        let growing = FileSystemCalls { call, _ in
            // Between the call for the size and the one for the value.
            if call == .getxattr, sizes.next() == 1 {
                lsetxattr(work.text("f"), "user.a", "123456789", 9, 0)
            }
            return 0
        }
        var metadata = try FileMetadata(of: Array("f".utf8), in: directory, path: [], accounts: accounts)
        try metadata.loadExtendedAttributes(of: Array("f".utf8), in: directory, path: [], calls: growing)
        #expect(metadata.extendedAttributes.map(\.value) == [Array("123456789".utf8)])

        let vanishing = FileSystemCalls { call, _ in
            if call == .getxattr { lremovexattr(work.text("f"), "user.a") }
            return 0
        }
        try metadata.loadExtendedAttributes(of: Array("f".utf8), in: directory, path: [], calls: vanishing)
        #expect(metadata.extendedAttributes.isEmpty)
    }

    @Test func oneUnreadableAttributeDoesNotHideTheOthers() throws {
        let work = try TemporaryDirectory()
        work.write("f", "")
        for name in ["user.a", "user.b"] { try #require(lsetxattr(work.text("f"), name, "1", 1, 0) == 0) }
        let calls = FileSystemCalls { call, name in
            call == .getxattr && name == Array("user.a".utf8) ? EACCES : 0
        }
        var metadata = try FileMetadata(of: Array("f".utf8), in: work.open(), path: [], accounts: accounts)
        let error = #expect(throws: FileSystemError.self) {
            try metadata.loadExtendedAttributes(
                of: Array("f".utf8), in: work.open(), path: work.path("f"), calls: calls)
        }
        #expect(error?.code == .permissionDenied && error?.operation == .readExtendedAttributes)
        #expect(metadata.extendedAttributes.map(\.name) == [Array("user.b".utf8)])
        let none = FileSystemCalls { call, _ in call == .listxattr ? ENOTSUP : 0 }
        try metadata.loadExtendedAttributes(of: Array("f".utf8), in: work.open(), path: [], calls: none)
        #expect(metadata.extendedAttributes.isEmpty)
    }

    @Test func longTargetsOfLinksAreWhole() throws {
        let work = try TemporaryDirectory()
        for length in [1, 255, 256, 257, 4095] {
            let target = String(repeating: "t", count: length)
            let name = "l\(length)"
            try #require(symlink(target, work.text(name)) == 0)
            let found = try SymbolicLink.target(of: Array(name.utf8), in: work.open(), path: [])
            #expect(found == Array(target.utf8))
        }
    }

    @Test func stampsSettleAfterTheMargin() {
        let time = FileTime(seconds: 100, nanoseconds: 900_000_000)
        var metadata = FileMetadata(
            type: .regular, permissions: 0, userID: 0, groupID: 0, size: 0, linkCount: 1, device: 0, inode: 0,
            modificationTime: FileTime(seconds: 5, nanoseconds: 0), changeTime: time)
        #expect(metadata.hasSettled(before: FileTime(seconds: 102, nanoseconds: 900_000_000)))
        #expect(!metadata.hasSettled(before: FileTime(seconds: 102, nanoseconds: 899_999_999)))
        metadata.modificationTime = FileTime(seconds: .max, nanoseconds: 0)
        #expect(!metadata.hasSettled(before: FileTime(seconds: .max, nanoseconds: 0)))
    }
}
