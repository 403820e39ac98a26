/// What an input of `commands` claims: records, each the fields in which one object differs from an honest one.
///
/// In bytes: a mask of groups of commands (4), and for each record its kind (1), what else it is chosen by (1), and its fields with their length before them (2). Any
/// bytes are some claims.
struct ForgedClaims {
    enum Kind: UInt8, CaseIterable {
        /// A snapshot of files; of a base backup; of a base backup, by what it says of its cluster; of dumps, likewise.
        case files, backup, physical, logical
        /// What a segment says of its log: which one is the selector.
        case segment
        case report
    }

    struct Record {
        var kind: Kind
        var selector: UInt8
        var fields: [UInt8]
    }

    static let recordLimit = 12
    var chosenGroups: UInt32 = 0
    var records: [Record] = []

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        for shift in 0..<4 { chosenGroups |= UInt32(rest.popFirst() ?? 0) << UInt32(8 * shift) }
        while records.count < Self.recordLimit, rest.count >= 4 {
            let head = Array(rest.prefix(4))
            rest = rest.dropFirst(4)
            let length = min(rest.count, Int(head[2]) | Int(head[3]) << 8)
            records.append(Record(kind: Kind.allCases[Int(head[0]) % Kind.allCases.count], selector: head[1], fields: Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
    }

    var bytes: [UInt8] {
        var bytes = (0..<4).map { UInt8(truncatingIfNeeded: chosenGroups >> UInt32(8 * $0)) }
        for record in records.prefix(Self.recordLimit) {
            let fields = record.fields.prefix(Int(UInt16.max))
            bytes += [record.kind.rawValue, record.selector, UInt8(fields.count & 255), UInt8(fields.count >> 8)] + fields
        }
        return bytes
    }
}

extension FieldMutator {
    /// Changes which commands are run, which records there are, or fields of one.
    mutating func mutate(_ claims: ForgedClaims) -> ForgedClaims {
        var claims = claims
        switch random.next(below: 8) {
        case 0: claims.chosenGroups ^= 1 << UInt32(random.next(below: FuzzTarget.commandGroups))
        case 1: claims.chosenGroups = UInt32(truncatingIfNeeded: random.next() & random.next())
        case 2 where !claims.records.isEmpty: claims.records.remove(at: random.next(below: claims.records.count))
        case 3, 4:
            guard claims.records.count < ForgedClaims.recordLimit else { break }
            let kind = ForgedClaims.Kind.allCases.randomElement(using: &random)!
            let honest = FuzzTarget.claimed.honestFields(kind)
            // Some of the fields that an honest one has, none of them yet changed.
            let chosen = honest.filter { _ in random.next(below: 3) == 0 }
            claims.records.append(.init(kind: kind, selector: UInt8(random.next(below: 4)), fields: Self.encode(mutate(chosen, atMost: 4096, depth: 0))))
        default:
            guard !claims.records.isEmpty else { break }
            let index = random.next(below: claims.records.count)
            if random.next(below: 8) == 0 { claims.records[index].selector = UInt8(random.next(below: 8)) }
            guard let fields = Self.fields(claims.records[index].fields) else { break }
            claims.records[index].fields = Self.encode(mutate(fields, atMost: 4096, depth: 0))
        }
        return claims
    }
}
