import Foundation
import Testing

/// docs/dependencies.md says what is used and in which version; here it is held against what is built and installed.
@Suite("The list of dependencies") struct DependenciesTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    private static func text(_ path: String) throws -> String { try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8) }

    /// Names and versions of the page's tables.
    private static func listed() throws -> [String: String] {
        var found: [String: String] = [:]
        for line in try text("docs/dependencies.md").split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            try #require(cells.count == 4 && cells.allSatisfy { !$0.isEmpty }, "\(line)")
            let name = cells[0].trimmingCharacters(in: ["`"])
            #expect(found.updateValue(cells[1], forKey: name) == nil, "\(name) is listed twice")
        }
        return found
    }

    /// Swift packages and pinned servers: name and version.
    private static func pinned() throws -> [String: String] {
        var found: [String: String] = [:]
        for manifest in ["Package.swift", "tools/benchmarks/Package.swift"] {
            for match in try text(manifest).matches(of: /\.package\(url: "[^"]*\/([^\/"]+)", (?:from|exact): "([^"]+)"/) {
                found[String(match.1)] = String(match.2)
            }
        }
        for match in try text("tools/test-servers.txt").matches(of: /(?m)^([a-z0-9_-]+)==([^ ]+)/) { found[String(match.1)] = String(match.2) }
        return found
    }

    /// Debian's packages.
    private static func installed() throws -> Set<String> {
        var found: Set<String> = []
        let setup = try text("tools/setup")
        for match in setup.matches(of: /packages\+?=\(([^)]*)\)/) {
            for line in match.1.split(separator: "\n") where !line.trimmingCharacters(in: .whitespaces).hasPrefix("#") {
                found.formUnion(line.split(whereSeparator: \.isWhitespace).map(String.init))
            }
        }
        for match in setup.matches(of: /apt-get download (?:-qq )?([^;)]+)/) { found.formUnion(match.1.split(separator: " ").map(String.init)) }
        for match in try text("Package.swift").matches(of: /\.apt\(\["([^"]+)"\]\)/) { found.insert(String(match.1)) }
        return found
    }

    @Test func everythingThatIsUsedIsListedAndNothingElse() throws {
        let listed = try Self.listed()
        let used = try Self.installed().union(Self.pinned().keys)
        #expect(used.count > 25)
        #expect(used.subtracting(listed.keys) == [], "used and not listed")
        #expect(Set(listed.keys).subtracting(used) == [], "listed and not used")
    }

    @Test func pinnedVersionsAreThoseThatAreListed() throws {
        let listed = try Self.listed()
        let pinned = try Self.pinned()
        #expect(pinned.count == 32)
        for (name, version) in pinned { #expect(listed[name] == version, "\(name)") }
    }

    @Test func theProgramsPackagesArePinnedExactly() throws {
        #expect(try !Self.text("Package.swift").contains("from: \""))
    }
}
