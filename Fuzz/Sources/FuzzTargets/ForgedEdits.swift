/// Changes to a forged repository, as a fuzzer's bytes say: five bytes each, a place among the parts, what to do, where, and with what.
///
/// Any bytes are some changes, and a small change of the bytes is a small change of the repository.
struct ForgedEdits {
    /// What a change is made to.
    enum Part: Hashable {
        case plaintext(Int)
        /// A blob as it is sealed.
        case encoded(Int)
        case directory, index, snapshot
        /// Objects as they are stored.
        case storedPack, storedIndex, storedSnapshot, storedConfig
    }

    struct Edit {
        let operation: UInt8
        let position: Int
        let value: UInt8
    }

    private var edits: [Part: [Edit]] = [:]

    var isEmpty: Bool { edits.isEmpty }

    /// At most 200 changes, so that what they make stays small.
    init(_ bytes: ArraySlice<UInt8>, blobs: Int) {
        let others: [Part] = [.directory, .index, .snapshot, .storedPack, .storedIndex, .storedSnapshot, .storedConfig]
        var rest = bytes
        for _ in 0..<200 where rest.count >= 5 {
            let word = Array(rest.prefix(5))
            rest = rest.dropFirst(5)
            let place = Int(word[0]) % (2 * blobs + others.count)
            let part: Part = place < blobs ? .plaintext(place) : place < 2 * blobs ? .encoded(place - blobs) : others[place - 2 * blobs]
            edits[part, default: []].append(Edit(operation: word[1], position: Int(word[2]) | Int(word[3]) << 8, value: word[4]))
        }
    }

    /// False where the object is to be gone.
    @discardableResult
    func apply(to part: Part, _ bytes: inout [UInt8], ids: [[UInt8]]) -> Bool {
        var isThere = true
        for edit in edits[part] ?? [] {
            let at = bytes.isEmpty ? 0 : edit.position % (bytes.count + 1)
            let count = min(Int(edit.value), bytes.count - at)
            switch edit.operation % 12 {
            case 0: if at < bytes.count { bytes[at] = edit.value }
            case 1: if at < bytes.count { bytes[at] ^= edit.value == 0 ? 1 : edit.value }
            case 2: bytes.insert(edit.value, at: at)
            case 3: bytes.removeSubrange(at..<at + count)
            case 4: bytes.removeSubrange(at...)
            case 5:
                let id = ids[Int(edit.value) % ids.count]
                bytes.replaceSubrange(at..<min(at + id.count, bytes.count), with: id)
            case 6: bytes += [UInt8](repeating: 0, count: Int(edit.value))
            case 7: bytes.insert(contentsOf: bytes[at..<at + count], at: at)
            // The largest number that a varint holds, and numbers near the bounds of others.
            case 8: bytes.replaceSubrange(at..<min(at + 1, bytes.count), with: [UInt8](repeating: 0xff, count: 9) + [1])
            case 9: bytes.replaceSubrange(at..<min(at + 1, bytes.count), with: [UInt8](repeating: 0xff, count: Int(edit.value % 9)) + [0x7f])
            case 10: bytes.replaceSubrange(at..<at + count, with: Array(bytes[at..<at + count].reversed()))
            default: isThere = false
            }
        }
        return isThere
    }
}
