/// One pattern of gitignore(5), translated to steps that are matched without recursion.
///
/// Meaning and corner cases are those of git, also where they differ from fnmatch(3): a class never
/// matches a slash, an unfinished class or escape matches nothing, and letters are ASCII.
struct GlobPattern: Sendable {
    enum Step: Equatable, Sendable {
        case byte(UInt8)
        /// `?`: any byte but a slash.
        case anyByte
        /// `[…]`: a set by its position in `sets`.
        case set(Int)
        /// `*`: any number of bytes other than slashes.
        case star
        /// `**` that fills a component: any number of any bytes.
        case anything
        /// `**/`: nothing, or anything up to and with a slash.
        case directories
    }

    private(set) var steps: [Step] = []
    private(set) var sets: [ByteSet] = []
    /// False for a pattern with an unfinished class or escape.
    private(set) var isMatchable = false

    /// - Parameters:
    ///   - pattern: without negation, anchoring slash and trailing slash.
    ///   - isPath: whether it is matched against a path and not against one name. In a name `**` is `*`.
    init(_ pattern: ArraySlice<UInt8>, isPath: Bool) {
        var rest = pattern
        // git skips the literal beginning before it looks for `**`, so that in `a**/b`, against the
        // letter of its manual, the asterisks count as if they stood at the start of a component.
        var isLiteral = true
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\\"):
                guard let escaped = rest.popFirst() else { return }
                steps.append(.byte(escaped))
            case UInt8(ascii: "?"):
                steps.append(.anyByte)
            case UInt8(ascii: "["):
                guard let set = ByteSet(bracketExpression: &rest) else { return }
                steps.append(.set(sets.count))
                sets.append(set)
            case UInt8(ascii: "*"):
                let startsComponent =
                    isLiteral || steps.last == .byte(RawPath.slash) || steps.last == .directories
                appendAsterisks(isPath: isPath, startsComponent: startsComponent, &rest)
            default:
                steps.append(.byte(byte))
                continue
            }
            isLiteral = false
        }
        isMatchable = true
    }

    private mutating func appendAsterisks(
        isPath: Bool, startsComponent: Bool, _ rest: inout ArraySlice<UInt8>
    ) {
        var count = 1
        while rest.first == UInt8(ascii: "*") {
            rest.removeFirst()
            count += 1
        }
        let endsComponent =
            rest.isEmpty || rest.first == RawPath.slash || rest.starts(with: Array("\\/".utf8))
        guard isPath, count > 1, startsComponent, endsComponent else { return steps.append(.star) }
        if rest.first == RawPath.slash {
            rest.removeFirst()
            steps.append(.directories)
        } else {
            steps.append(.anything)
        }
    }

    /// Whether the pattern matches the whole of `text`.
    ///
    /// Cost: at most pattern × text steps. It is enough to come back to the last `*` of the current
    /// component and to the last `**`: what stands before them has been matched as far to the left as
    /// it can be, and starting later could not reach further. A `*` is left for good at the next slash.
    func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard isMatchable else { return false }
        return steps.withUnsafeBufferPointer { steps in
            var step = 0
            var position = 0
            var star: (step: Int, position: Int)?
            var wide: (step: Int, position: Int, onlyAtSlashes: Bool)?
            while true {
                if step == steps.count {
                    if position == text.count { return true }
                } else {
                    switch steps[step] {
                    case .star:
                        step += 1
                        star = (step, position)
                        continue
                    case .anything, .directories:
                        let onlyAtSlashes = steps[step] == .directories
                        step += 1
                        star = nil
                        wide = (step, position, onlyAtSlashes)
                        continue
                    case .byte(let byte):
                        if position < text.count, text[position] == byte {
                            step += 1
                            position += 1
                            continue
                        }
                    case .anyByte:
                        if position < text.count, text[position] != RawPath.slash {
                            step += 1
                            position += 1
                            continue
                        }
                    case .set(let number):
                        if position < text.count, text[position] != RawPath.slash,
                            sets[number].contains(text[position])
                        {
                            step += 1
                            position += 1
                            continue
                        }
                    }
                }
                // No match here: give one more byte to the last `*`, or else to the last `**`.
                if let last = star, last.position < text.count, text[last.position] != RawPath.slash {
                    star = (last.step, last.position + 1)
                    (step, position) = (last.step, last.position + 1)
                    continue
                }
                star = nil
                guard var last = wide else { return false }
                if last.onlyAtSlashes {
                    while last.position < text.count, text[last.position] != RawPath.slash {
                        last.position += 1
                    }
                }
                guard last.position < text.count else { return false }
                last.position += 1
                wide = last
                (step, position) = (last.step, last.position)
            }
        }
    }
}
