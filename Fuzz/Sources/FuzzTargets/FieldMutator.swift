import NumbersTesting

/// Mutations of objects that are made of fields (a tag, a length, that many bytes, tags ascending: format.md, 1.3), whose bytes may be fields again. Bytes changed
/// at random seldom leave the lengths right, so that a field which no input has is seldom made.
struct FieldMutator {
    struct Field {
        var tag: UInt64
        var bytes: [UInt8]
    }

    /// Objects that are one sequence of fields.
    static let targets: Set<FuzzTarget> = [.snapshot, .config, .record, .parity, .facts, .logobject]

    var random: SeededNumbers
    /// Changes bytes as libFuzzer does, to at most this many.
    private let change: ([UInt8], Int) -> [UInt8]
    /// Fields of inputs that were mutated before.
    nonisolated(unsafe) private static var seen: [Field] = []
    private static let seenCount = 512

    init(seed: UInt32, change: @escaping ([UInt8], Int) -> [UInt8]) {
        random = SeededNumbers(seed: UInt64(seed))
        self.change = change
    }

    /// nil where the input is no sequence of fields, and for one input of four.
    mutating func mutate(_ bytes: [UInt8], atMost limit: Int) -> [UInt8]? {
        guard random.next(below: 4) != 0, let fields = Self.fields(bytes) else { return nil }
        for field in fields where random.next(below: 8) == 0 {
            if Self.seen.count < Self.seenCount { Self.seen.append(field) } else { Self.seen[random.next(below: Self.seenCount)] = field }
        }
        let mutated = Self.encode(self.mutate(fields, atMost: limit, depth: 0))
        return mutated.count <= limit ? mutated : nil
    }

    mutating func mutate(_ fields: [Field], atMost limit: Int, depth: Int) -> [Field] {
        var fields = fields
        for _ in 0...random.next(below: 3) {
            guard !fields.isEmpty else {
                fields.append(made())
                continue
            }
            let index = random.next(below: fields.count)
            switch random.next(below: 12) {
            case 0: fields.remove(at: index)
            case 1: fields.insert(fields[index], at: index)
            case 2: fields[index].tag = tag()
            case 3: fields.append(made())
            case 4: fields[index].bytes = fields[random.next(below: fields.count)].bytes
            case 5: if let field = Self.seen.randomElement(using: &random) { fields.append(field) }
            case 6: if let field = Self.seen.randomElement(using: &random) { fields[index].bytes = field.bytes }
            case 7: fields[index].bytes = made().bytes
            case 8: fields[index].bytes = withOtherNumber(fields[index].bytes)
            default:
                if depth < 3, random.next(below: 2) == 0, let inner = Self.fields(fields[index].bytes) {
                    fields[index].bytes = Self.encode(mutate(inner, atMost: limit, depth: depth + 1))
                } else {
                    fields[index].bytes = change(fields[index].bytes, min(limit, fields[index].bytes.count + 64))
                }
            }
        }
        guard random.next(below: 16) != 0 else { return fields }
        // Fields of one tag keep their order: a stable sort.
        return fields.enumerated().sorted { ($0.element.tag, $0.offset) < ($1.element.tag, $1.offset) }.map(\.element)
    }

    /// Where the bytes may be one varint after the other, one of them is another number.
    private mutating func withOtherNumber(_ bytes: [UInt8]) -> [UInt8] {
        var (numbers, number, shift) = ([UInt64](), UInt64(0), UInt64(0))
        for byte in bytes {
            number |= shift < 64 ? UInt64(byte & 127) << shift : 0
            shift += 7
            if byte < 128 {
                numbers.append(number)
                (number, shift) = (0, 0)
            }
        }
        guard !numbers.isEmpty else { return bytes }
        let index = random.next(below: numbers.count)
        switch random.next(below: 4) {
        case 0: numbers[index] = .max &- UInt64(random.next(below: 4))
        case 1: numbers[index] &+= UInt64(random.next(below: 9)) &- 4
        case 2: numbers[index] = (1 << UInt64(random.next(below: 64))) &- UInt64(random.next(below: 3))
        default: numbers[index] = random.next() >> UInt64(random.next(below: 64))
        }
        return numbers.flatMap(Self.varint)
    }

    /// Below 16 are tags that every reader must know.
    private mutating func tag() -> UInt64 { UInt64(random.next(below: 40)) }

    private mutating func made() -> Field {
        let bytes: [UInt8]
        switch random.next(below: 5) {
        case 0: bytes = Self.varint(random.next() >> UInt64(random.next(below: 64)))
        case 1: bytes = Array("text-\(random.next(below: 100))".utf8)
        case 2: bytes = (0..<[1, 4, 8, 12, 16, 24, 32, 64][random.next(below: 8)]).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        case 3: bytes = []
        default: bytes = Self.encode([Field(tag: tag(), bytes: Self.varint(UInt64(random.next(below: 300))))])
        }
        return Field(tag: tag(), bytes: bytes)
    }

    static func fields(_ bytes: [UInt8]) -> [Field]? {
        var (fields, at) = ([Field](), 0)
        func varint() -> UInt64? {
            var (value, shift) = (UInt64(0), UInt64(0))
            while at < bytes.count, shift < 64 {
                let byte = bytes[at]
                at += 1
                value |= UInt64(byte & 127) << shift
                if byte < 128 { return value }
                shift += 7
            }
            return nil
        }
        while at < bytes.count {
            guard let tag = varint(), let length = varint(), length <= UInt64(bytes.count - at) else { return nil }
            fields.append(Field(tag: tag, bytes: Array(bytes[at..<(at + Int(length))])))
            at += Int(length)
        }
        return fields
    }

    static func encode(_ fields: [Field]) -> [UInt8] {
        fields.flatMap { varint($0.tag) + varint(UInt64($0.bytes.count)) + $0.bytes }
    }

    private static func varint(_ value: UInt64) -> [UInt8] {
        var (rest, bytes) = (value, [UInt8]())
        while rest >= 128 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 128)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}

extension SeededNumbers {
    mutating func next(below bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

/// libFuzzer's own mutations (`FuzzerInterface.h`).
@_silgen_name("LLVMFuzzerMutate")
private func libFuzzerMutate(_ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int, _ limit: Int) -> Int

@_cdecl("LLVMFuzzerCustomMutator")
public func mutateInput(_ start: UnsafeMutablePointer<UInt8>, _ count: Int, _ limit: Int, _ seed: CUnsignedInt) -> Int {
    guard FieldMutator.targets.contains(.chosen) || FuzzTarget.chosen == .commands else { return libFuzzerMutate(start, count, limit) }
    var mutator = FieldMutator(seed: seed) { bytes, limit in
        [UInt8](unsafeUninitializedCapacity: max(limit, bytes.count, 1)) { buffer, filled in
            _ = buffer.update(fromContentsOf: bytes)
            filled = libFuzzerMutate(buffer.baseAddress, bytes.count, max(limit, 1))
        }
    }
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let mutated = FuzzTarget.chosen == .commands ? mutator.mutate(ForgedClaims(input)).bytes : mutator.mutate(input, atMost: limit)
    guard let mutated, !mutated.isEmpty, mutated.count <= limit else { return libFuzzerMutate(start, count, limit) }
    _ = UnsafeMutableBufferPointer(start: start, count: limit).update(fromContentsOf: mutated)
    return mutated.count
}
