public import RepoBase

/// The bytes of a snapshot's field 27 (format.md, 7.2).
extension ClusterFacts {
    public func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.field(1) { $0.u8(method.rawValue) }
        writer.field(2) { $0.u64(systemIdentifier) }
        writer.field(3) { $0.varint(UInt64(serverVersion)) }
        writer.field(4) {
            $0.recordedMoment(startTime)
            $0.recordedMoment(stopTime)
        }
        if method == .physical {
            writer.field(16) { $0.varint(UInt64(timeline)) }
            writer.field(17) {
                $0.position(start)
                $0.position(stop)
            }
            writer.field(18) {
                $0.varint(UInt64(segmentSize.bytes))
                $0.varint(UInt64(blockSize))
            }
            writer.field(19) { $0.u8((hasChecksums ? 1 : 0) | (isFromStandby ? 2 : 0) | (includesLog ? 4 : 0)) }
        }
        for tablespace in tablespaces {
            writer.field(20) {
                $0.varint(UInt64(tablespace.oid))
                $0.text(tablespace.location)
            }
        }
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
            writer.field(21) {
                $0.text(name)
                $0.text(value)
            }
        }
        if !label.isEmpty { writer.field(22) { $0.raw(label.utf8) } }
        for database in databases {
            writer.field(23) {
                $0.text(database.name)
                $0.varint(database.bytes)
                $0.varint(UInt64(database.rowCounts.count))
                for count in database.rowCounts {
                    $0.text(count.schema)
                    $0.text(count.table)
                    $0.varint(count.rows)
                }
            }
        }
        return writer.bytes
    }

    /// Throws `.damaged`, naming `object`.
    public init(_ bytes: [UInt8], object: String) throws(RepoError) {
        var reader = ByteReader(bytes, object: object)
        var method: Method?
        var systemIdentifier: UInt64?
        var version: UInt32?
        var times: (FileTime, FileTime)?
        let nothing = FileTime(seconds: 0, nanoseconds: 0)
        var facts = ClusterFacts(method: .logical, systemIdentifier: 0, serverVersion: 0, startTime: nothing, stopTime: nothing)
        try reader.fields { (tag, field) throws(RepoError) -> Bool in
            switch tag {
            case 1:
                method = Method(rawValue: try field.u8())
                guard method != nil else { throw field.fail("it is of an unknown method") }
            case 2: systemIdentifier = try field.u64()
            case 3: version = try field.u32Varint("a server version")
            case 4: times = (try field.recordedMoment(), try field.recordedMoment())
            case 16: facts.timeline = try field.u32Varint("a timeline")
            case 17: (facts.start, facts.stop) = (try field.position(), try field.position())
            case 18:
                guard let size = WALSegmentSize(bytes: try field.varint(atMost: 1 << 30, "a segment size")) else {
                    throw field.fail("it has a segment size that PostgreSQL does not have")
                }
                facts.segmentSize = size
                facts.blockSize = try field.u32Varint("a block size")
            case 19:
                let flags = try field.u8()
                facts.hasChecksums = flags & 1 != 0
                facts.isFromStandby = flags & 2 != 0
                facts.includesLog = flags & 4 != 0
            case 20:
                facts.tablespaces.append(Tablespace(oid: try field.u32Varint("an oid"), location: try field.text()))
            case 21: facts.settings[try field.text()] = try field.text(atMost: 1 << 20)
            case 22:
                facts.label = String(decoding: try field.raw(field.remaining), as: UTF8.self)
            case 23:
                var database = Database(name: try field.text(), bytes: try field.varint())
                for _ in 0..<(try field.count(ofAtLeast: 3)) {
                    database.rowCounts.append(
                        RowCount(schema: try field.text(), table: try field.text(), rows: try field.varint()))
                }
                facts.databases.append(database)
            default: return false
            }
            return true
        }
        guard let method, let systemIdentifier, let version, let times else {
            throw .damaged(object, "a fact about the cluster is missing")
        }
        (facts.method, facts.systemIdentifier, facts.serverVersion) = (method, systemIdentifier, version)
        (facts.startTime, facts.stopTime) = times
        if method == .logical {
            facts.forgetPhysical()
        } else {
            let (start, stop) = (facts.start, facts.stop)
            guard start > .invalid, stop >= start, stop.value - start.value <= Self.longestLog, stop <= Self.lastPosition else {
                throw .damaged(object, "no backup has its log from \(start) to \(stop)")
            }
        }
        self = facts
    }

    /// In bytes, 64 TiB: what is claimed beyond is looked for by nobody.
    private static let longestLog: UInt64 = 1 << 46
    /// Behind it a segment may end where no position is.
    private static let lastPosition = LogSequenceNumber(UInt64.max - (1 << 31))

    /// Of dumps the fields of a physical backup say nothing, and are not written.
    private mutating func forgetPhysical() {
        (timeline, start, stop) = (0, .invalid, .invalid)
        (segmentSize, blockSize) = (.standard, 8192)
        (hasChecksums, isFromStandby, includesLog) = (false, false, false)
    }
}
