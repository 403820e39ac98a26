import RepoBase
import TOMLKit

/// A table of the configuration, read key by key; `finish` refuses the keys that nobody asked for.
struct ConfigurationTable {
    private let table: TOMLTable
    private let path: [String]
    private let document: Document
    private var asked: Set<String> = []

    /// What messages need: the file's name and the lines of its keys.
    struct Document {
        let file: String
        let lines: TOMLLines

        func error(_ path: [String], _ message: String, advice: String = "") -> RepoError {
            RepoError(.usage, "\(file), line \(lines.line(of: path)): \(message)", advice: advice)
        }
    }

    init(_ table: TOMLTable, _ path: [String], _ document: Document) {
        self.table = table
        self.path = path
        self.document = document
    }

    func error(_ key: String, _ message: String, advice: String = "") -> RepoError {
        document.error(path + [key], message, advice: advice)
    }

    /// Of a key that has to be there and is not. Where one that nobody asked for looks like it, that one is a slip, and is what is told.
    /// - Parameter place: the key whose line is told otherwise; where it is missing, too, the table's line.
    func missing(_ key: String, at place: String? = nil, _ message: String, advice: String) -> RepoError {
        guard let slip = NearestName.find(key, in: table.keys.filter { !asked.contains($0) }) else { return error(place ?? key, message, advice: advice) }
        return strayKey(slip, advice: "Did you mean '\(key)'?")
    }

    private func strayKey(_ key: String, advice: String) -> RepoError {
        error(key, "unknown key '\(key)'" + (path.isEmpty ? "" : " in \(describedPath)"), advice: advice)
    }

    private mutating func value(_ key: String) -> (any TOMLValueConvertible)? {
        asked.insert(key)
        return table[key]
    }

    private func wrongType(_ key: String, _ expected: String, _ value: any TOMLValueConvertible) -> RepoError
    {
        error(key, "'\(key)' must be \(expected), and it is of type \(value.type)")
    }

    mutating func string(_ key: String) throws(RepoError) -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.string else { throw wrongType(key, "a string in quotes", value) }
        guard !text.isEmpty else { throw error(key, "'\(key)' is empty") }
        return text
    }

    mutating func bool(_ key: String) throws(RepoError) -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.bool else { throw wrongType(key, "true or false", value) }
        return flag
    }

    mutating func int(_ key: String) throws(RepoError) -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.int else { throw wrongType(key, "a whole number", value) }
        return number
    }

    mutating func strings(_ key: String) throws(RepoError) -> [String]? {
        guard let value = value(key) else { return nil }
        guard let array = value.array else { throw wrongType(key, "a list of strings", value) }
        var texts: [String] = []
        for element in array {
            guard let text = element.string, !text.isEmpty else {
                throw error(key, "'\(key)' must hold strings in quotes only")
            }
            texts.append(text)
        }
        return texts
    }

    mutating func table(_ key: String) throws(RepoError) -> ConfigurationTable? {
        guard let value = value(key) else { return nil }
        guard let table = value.table else { throw wrongType(key, "a table", value) }
        return ConfigurationTable(table, path + [key], document)
    }

    mutating func tables(_ key: String) throws(RepoError) -> [ConfigurationTable] {
        guard let value = value(key) else { return [] }
        guard let array = value.array else {
            throw error(key, "'\(key)' must be written as [[\(key)]], with two brackets")
        }
        var tables: [ConfigurationTable] = []
        for (index, element) in array.enumerated() {
            guard let table = element.table else {
                throw error(key, "'\(key)' must be written as [[\(key)]], with two brackets")
            }
            tables.append(ConfigurationTable(table, path + [key, String(index)], document))
        }
        return tables
    }

    /// Throws `.usage` for the first key that was not asked for, naming the nearest that may stand here.
    func finish() throws(RepoError) {
        let unknown = table.keys.filter { !asked.contains($0) }
        let positions = unknown.map { (line: document.lines.line(of: path + [$0]), key: $0) }.sorted {
            $0 < $1
        }
        guard let first = positions.first else { return }
        let nearest = NearestName.find(first.key, in: asked).map { "Did you mean '\($0)'?" }
        throw strayKey(first.key, advice: nearest ?? "Keys here are \(asked.sorted().joined(separator: ", ")).")
    }

    private var describedPath: String {
        let names = path.filter { Int($0) == nil }
        return path.count > names.count && path.last.flatMap { Int($0) } != nil
            ? "[[\(names.joined(separator: "."))]]" : "[\(names.joined(separator: "."))]"
    }
}
