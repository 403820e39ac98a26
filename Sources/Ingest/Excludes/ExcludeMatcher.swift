/// Decides by patterns in gitignore's syntax which entries below one PATH are left out.
///
/// The last pattern that matches decides. Patterns are relative to PATH, as gitignore's are to the
/// directory of their file. A pattern with a leading slash is also tried as an absolute path, so that
/// `/srv/www/cache` works for the PATH `/srv/www` as well as `/cache` does.
///
/// Cost of a decision: one look-up for all literal names, one for all literal paths, and one comparison for
/// each other pattern.
public struct ExcludeMatcher: Sendable {
    /// In order; the last that matches decides.
    public let patterns: [ExcludePattern]
    /// Absolute path of PATH, without a trailing slash.
    private let root: [UInt8]
    private var literalNames = LiteralTable()
    private var literalPaths = LiteralTable()
    /// What is not in the tables, last pattern first.
    private var tests: [(pattern: Int, test: Test)] = []

    private enum Test: Sendable {
        case anyName
        case namePrefix([UInt8])
        case nameSuffix([UInt8])
        case nameGlob(GlobPattern)
        case pathGlob(GlobPattern)
        /// Matched against the absolute path without its first slash.
        case absoluteGlob(GlobPattern)
    }

    /// - Parameter root: absolute path of the directory that patterns are relative to.
    public init(_ patterns: [ExcludePattern], root: [UInt8]) {
        self.patterns = patterns
        self.root = root.last == RawPath.slash ? Array(root.dropLast()) : root
        for index in patterns.indices {
            if patterns[index].matchesName {
                compile(name: patterns[index].glob, index)
            } else {
                compile(path: patterns[index].glob[...], index)
                if patterns[index].isAnchored { compile(absolute: patterns[index].glob, index) }
            }
        }
        tests.reverse()
    }

    public var isEmpty: Bool { patterns.isEmpty }

    private mutating func compile(name: [UInt8], _ index: Int) {
        let isStar = { (byte: UInt8) in byte == UInt8(ascii: "*") }
        if !Self.hasWildcard(name[...]) {
            literalNames.insert(name[...], index)
        } else if name.allSatisfy(isStar) {
            tests.append((index, .anyName))
        } else if isStar(name[0]), !Self.hasWildcard(name.dropFirst()) {
            tests.append((index, .nameSuffix(Array(name.dropFirst()))))
        } else if isStar(name[name.count - 1]), !Self.hasWildcard(name.dropLast()) {
            tests.append((index, .namePrefix(Array(name.dropLast()))))
        } else {
            tests.append((index, .nameGlob(GlobPattern(name[...], isPath: false))))
        }
    }

    private mutating func compile(path: ArraySlice<UInt8>, _ index: Int) {
        if Self.hasWildcard(path) {
            tests.append((index, .pathGlob(GlobPattern(path, isPath: true))))
        } else {
            literalPaths.insert(path, index)
        }
    }

    /// Adds the absolute reading of an anchored pattern, where it can reach below the root at all.
    private mutating func compile(absolute pattern: [UInt8], _ index: Int) {
        let base = root.dropFirst() + [RawPath.slash]
        guard !root.isEmpty else { return }
        let literal = pattern.prefix { !Self.isWildcard($0) }
        if literal.starts(with: base) {
            compile(path: pattern[base.count...], index)
        } else if literal.count < pattern.count, base.starts(with: literal) {
            tests.append((index, .absoluteGlob(GlobPattern(pattern[...], isPath: true))))
        }
    }

    private static func isWildcard(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "*") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "[")
            || byte == UInt8(ascii: "\\")
    }

    private static func hasWildcard(_ bytes: ArraySlice<UInt8>) -> Bool {
        bytes.contains(where: isWildcard)
    }

    /// The pattern that decides on a path below the root, with regard to the directories above: an
    /// excluded one takes along everything below it.
    ///
    /// - Parameter path: relative to the root, without leading or trailing slash.
    public func decidingPattern(_ path: [UInt8], isDirectory: Bool) -> ExcludePattern? {
        var start = path.startIndex
        while let slash = path[start...].firstIndex(of: RawPath.slash) {
            let pattern = lastMatch(Array(path[..<slash]), nameOffset: start, isDirectory: true)
            if let pattern, !patterns[pattern].isNegated { return patterns[pattern] }
            start = slash + 1
        }
        return lastMatch(path, nameOffset: start, isDirectory: isDirectory).map { patterns[$0] }
    }

    /// Whether a path below the root is left out, be it by a directory above it.
    ///
    /// - Parameter path: relative to the root, without leading or trailing slash.
    public func excludes(_ path: [UInt8], isDirectory: Bool) -> Bool {
        decidingPattern(path, isDirectory: isDirectory)?.isNegated == false
    }

    /// Whether an entry is left out by its own path, the directories above it not being so.
    ///
    /// - Parameters:
    ///   - path: a longer path; what counts is the part from `relativeOffset` on.
    ///   - relativeOffset: where the part begins that is relative to the root.
    ///   - nameOffset: where the last component begins.
    func excludesEntry(
        _ path: [UInt8], relativeOffset: Int, nameOffset: Int, isDirectory: Bool
    ) -> Bool {
        if patterns.isEmpty { return false }
        let pattern = path.withUnsafeBufferPointer { path in
            lastMatch(
                UnsafeBufferPointer(rebasing: path[relativeOffset...]),
                nameOffset: nameOffset - relativeOffset, isDirectory: isDirectory)
        }
        return pattern.map { !patterns[$0].isNegated } ?? false
    }

    private func lastMatch(_ path: [UInt8], nameOffset: Int, isDirectory: Bool) -> Int? {
        path.withUnsafeBufferPointer {
            lastMatch($0, nameOffset: nameOffset, isDirectory: isDirectory)
        }
    }

    private func lastMatch(
        _ path: UnsafeBufferPointer<UInt8>, nameOffset: Int, isDirectory: Bool
    ) -> Int? {
        let name = UnsafeBufferPointer(rebasing: path[nameOffset...])
        let isEligible = { (pattern: Int) in isDirectory || !patterns[pattern].matchesDirectoriesOnly }
        var best = max(
            literalNames.last(name, where: isEligible), literalPaths.last(path, where: isEligible))
        for (pattern, test) in tests {
            if pattern <= best { break }
            guard isEligible(pattern) else { continue }
            let isMatch =
                switch test {
                case .anyName: true
                case .namePrefix(let prefix): name.count >= prefix.count && name.starts(with: prefix)
                case .nameSuffix(let suffix):
                    name.count >= suffix.count && name.suffix(suffix.count).elementsEqual(suffix)
                case .nameGlob(let glob): glob.matches(name)
                case .pathGlob(let glob): glob.matches(path)
                case .absoluteGlob(let glob): matchesAbsolute(glob, path)
                }
            if isMatch {
                best = pattern
                break
            }
        }
        return best < 0 ? nil : best
    }

    private func matchesAbsolute(_ glob: GlobPattern, _ path: UnsafeBufferPointer<UInt8>) -> Bool {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: root.count + path.count) { absolute in
            _ = absolute.initialize(fromContentsOf: root.dropFirst())
            absolute[root.count - 1] = RawPath.slash
            _ = absolute.suffix(path.count).initialize(fromContentsOf: path)
            return glob.matches(UnsafeBufferPointer(absolute))
        }
    }
}

/// Positions of patterns by the bytes that they must equal.
private struct LiteralTable: Sendable {
    private var positions: [UInt64: [Int]] = [:]
    private var literals: [Int: [[UInt8]]] = [:]

    mutating func insert(_ literal: ArraySlice<UInt8>, _ position: Int) {
        positions[literal.withUnsafeBufferPointer(Self.hash), default: []].append(position)
        literals[position, default: []].append(Array(literal))
    }

    /// The last position whose literal equals `text` and that `predicate` allows, or -1.
    func last(_ text: UnsafeBufferPointer<UInt8>, where predicate: (Int) -> Bool) -> Int {
        guard !positions.isEmpty, let candidates = positions[Self.hash(text)] else { return -1 }
        return candidates.last { position in
            predicate(position) && literals[position]!.contains { $0.elementsEqual(text) }
        } ?? -1
    }

    /// FNV-1a, 64 bits (draft-eastlake-fnv): enough to sort out, since equality is checked.
    private static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }
}
