public import PostgresFormats

/// What an archive's entries mean for some of its tables: which of them bring these tables back whole, and what has to be there for that.
///
/// A table comes with its rows, indexes, constraints, triggers, rules, policies, defaults, comments, rights, the sequences that it owns with their values, and
/// with its partitions and the tables that inherit from it; as `pg_dump --table-and-children` (17) has it.
public struct TableSelection: Sendable {
    /// Entries to restore, in the archive's order.
    public private(set) var entries: [DumpEntry]
    /// Tables, views and sequences among them, those first that were asked for.
    public let tables: [TableName]
    /// Those that were asked for, without what comes along.
    public let asked: [TableName]
    /// What entries depend on and does not come with them.
    public let needs: [DumpEntry]
    /// Patterns that nothing matched.
    public let unmatched: [TablePattern]
    private let contents: DumpContents
    /// Partitions whose parents do not come along, by their attaching entries.
    private let attachments: [Int32: TableName]
    /// Entries that come behind all others.
    var late: Set<Int32> = []

    private static let relations: Set<String> = ["TABLE", "FOREIGN TABLE", "VIEW", "MATERIALIZED VIEW", "SEQUENCE"]
    /// What belongs to the one thing that it depends on.
    private static let parts: Set<String> = [
        "TABLE DATA", "MATERIALIZED VIEW DATA", "INDEX", "STATISTICS", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET", "COMMENT", "ACL", "DEFAULT ACL",
        "SECURITY LABEL", "ROW SECURITY", "STATISTICS DATA",
    ]
    /// What is called `<table> <name>` and may depend on other tables besides.
    private static let namedParts: Set<String> = [
        "CONSTRAINT", "CHECK CONSTRAINT", "FK CONSTRAINT", "TRIGGER", "RULE", "POLICY", "DEFAULT",
    ]

    /// - Parameters:
    ///   - tables: patterns of tables, views and sequences.
    ///   - schemas: patterns of schemas of which everything comes.
    public init(_ contents: DumpContents, tables patterns: [TablePattern], schemas: [TablePattern]) {
        self.contents = contents
        var byID: [Int32: DumpEntry] = [:]
        for entry in contents.entries { byID[entry.id] = entry }
        let relations = contents.entries.filter { Self.relations.contains($0.kind) && $0.schema != nil }
        var chosen: Set<Int32> = []
        var unmatched: [TablePattern] = []
        for pattern in patterns {
            let found = relations.filter { pattern.matches(schema: $0.schema!, name: $0.name) }
            if found.isEmpty { unmatched.append(pattern) }
            chosen.formUnion(found.map(\.id))
        }
        for pattern in schemas {
            let found = contents.entries.filter {
                if $0.kind.hasPrefix("PUBLICATION") { return false }
                return $0.schema.map(pattern.matches(schema:)) ?? ($0.kind == "SCHEMA" && pattern.matches(schema: $0.name))
            }
            if found.isEmpty { unmatched.append(pattern) }
            chosen.formUnion(found.map(\.id))
        }
        asked = relations.filter { chosen.contains($0.id) }.map(TableName.init)
        Self.addChildren(&chosen, relations, contents.entries, byID)
        // Parts of parts, as the comment on an index, come later in most archives; a second round finds the rest.
        var count = -1
        while count != chosen.count {
            count = chosen.count
            for entry in contents.entries where !chosen.contains(entry.id) && Self.isPart(entry, of: chosen, byID) { chosen.insert(entry.id) }
        }
        entries = contents.entries.filter { chosen.contains($0.id) }
        let all = entries.filter { Self.relations.contains($0.kind) && $0.schema != nil }.map(TableName.init)
        let named = Set(asked)
        tables = asked + all.filter { !named.contains($0) }
        self.unmatched = unmatched
        (needs, attachments) = Self.needs(entries, chosen, byID)
    }

    /// Everything that an archive has.
    init(everyEntryOf contents: DumpContents) {
        self.contents = contents
        entries = contents.entries
        tables = contents.entries.filter { Self.relations.contains($0.kind) && $0.schema != nil }.map(TableName.init)
        (asked, needs, unmatched, attachments) = (tables, [], [], [:])
    }

    // MARK: - What belongs together

    /// Partitions, and what inherits.
    private static func addChildren(_ chosen: inout Set<Int32>, _ relations: [DumpEntry], _ entries: [DumpEntry], _ byID: [Int32: DumpEntry]) {
        var children: [Int32: [Int32]] = [:]
        for entry in entries where entry.kind == "TABLE ATTACH" {
            guard let (child, parent) = attachment(entry, byID) else { continue }
            children[parent, default: []].append(child)
        }
        for table in relations where table.kind.hasSuffix("TABLE") && inherits(table.definition) {
            for parent in table.dependencies where byID[parent]?.kind.hasSuffix("TABLE") == true { children[parent, default: []].append(table.id) }
        }
        var open = Array(chosen)
        while let parent = open.popLast() {
            for child in children[parent] ?? [] where chosen.insert(child).inserted { open.append(child) }
        }
    }

    /// The partition and its parent. The entry is named after the partition, and depends on both.
    private static func attachment(_ entry: DumpEntry, _ byID: [Int32: DumpEntry]) -> (child: Int32, parent: Int32)? {
        let tables = entry.dependencies.compactMap { byID[$0] }.filter { $0.kind.hasSuffix("TABLE") }
        guard let child = tables.first(where: { $0.name == entry.name && $0.schema == entry.schema }),
            let parent = tables.first(where: { $0.id != child.id })
        else { return nil }
        return (child.id, parent.id)
    }

    /// Whether a table's definition says so outside of its columns: pg_dump begins a line with it.
    private static func inherits(_ definition: String) -> Bool {
        definition.split(separator: "\n").contains { $0.hasPrefix("INHERITS (") || $0.contains(" ATTACH PARTITION ") }
    }

    private static func isPart(_ entry: DumpEntry, of chosen: Set<Int32>, _ byID: [Int32: DumpEntry]) -> Bool {
        if parts.contains(entry.kind) { return entry.dependencies.contains { chosen.contains($0) && byID[$0].map { owns($0, entry) } == true } }
        if entry.kind == "TABLE ATTACH" { return attachment(entry, byID).map { chosen.contains($0.child) } ?? false }
        if entry.kind == "INDEX ATTACH" {
            // Named after the partition's index.
            return entry.dependencies.contains { chosen.contains($0) && byID[$0]?.name.hasSuffix(entry.name) == true && byID[$0]?.kind.hasSuffix("TABLE") == false }
        }
        guard namedParts.contains(entry.kind) else { return false }
        // Of tables whose names begin alike, the longest one is meant.
        let owner = entry.dependencies.compactMap { byID[$0] }
            .filter { relations.contains($0.kind) && $0.schema == entry.schema && entry.name.hasPrefix($0.name + " ") }
            .max { $0.name.utf8.count < $1.name.utf8.count }
        return owner.map { chosen.contains($0.id) } ?? false
    }

    /// Whether what depends on a thing is a part of it: a partition's index depends on the parent's, and is none.
    private static func owns(_ thing: DumpEntry, _ entry: DumpEntry) -> Bool {
        switch entry.kind {
        case "INDEX", "STATISTICS", "ROW SECURITY": relations.contains(thing.kind)
        case "TABLE DATA", "MATERIALIZED VIEW DATA": relations.contains(thing.kind) && thing.name == entry.name && thing.schema == entry.schema
        // A sequence that depends on a table is owned by a column, or is the one of an identity.
        case "SEQUENCE": thing.kind.hasSuffix("TABLE")
        default: true
        }
    }

    // MARK: - What has to be there

    private static func needs(
        _ entries: [DumpEntry], _ chosen: Set<Int32>, _ byID: [Int32: DumpEntry]
    ) -> ([DumpEntry], [Int32: TableName]) {
        var attachments: [Int32: TableName] = [:]
        /// Parents of partitions: needed for attaching alone.
        var parents: [Int32: Set<Int32>] = [:]
        for entry in entries where entry.kind == "TABLE ATTACH" {
            guard let (child, parent) = attachment(entry, byID), !chosen.contains(parent), let table = byID[parent] else { continue }
            attachments[entry.id] = TableName(table)
            parents[child, default: []].insert(parent)
        }
        for entry in entries where entry.kind == "INDEX ATTACH" {
            let outside = entry.dependencies.compactMap { byID[$0] }.filter { !chosen.contains($0.id) }
            let tables = (outside + outside.flatMap { $0.dependencies.compactMap { byID[$0] } }).filter { $0.kind.hasSuffix("TABLE") }
            if let parent = tables.first(where: { !chosen.contains($0.id) }) { attachments[entry.id] = TableName(parent) }
        }
        var needed: [DumpEntry] = []
        var seen: Set<Int32> = []
        for entry in entries where entry.kind != "TABLE ATTACH" && entry.kind != "INDEX ATTACH" {
            for id in entry.dependencies where !chosen.contains(id) && parents[entry.id]?.contains(id) != true {
                guard let other = byID[id], seen.insert(id).inserted else { continue }
                // Of a partition's index that of its parent; of a foreign key the unique one, whose table is named as well.
                if ["INDEX", "CONSTRAINT", "TABLE DATA"].contains(other.kind) { continue }
                needed.append(other)
            }
        }
        return (needed, attachments)
    }

    /// Rows of these tables are in the archive, by the entries that hold them.
    public var data: [(entry: DumpEntry, table: TableName)] {
        entries.filter { $0.kind == "TABLE DATA" }.compactMap { entry in
            entry.schema.map { (entry, TableName(schema: $0, name: entry.name)) }
        }
    }

    /// Schemas that have to be there.
    public var schemas: [String] {
        let made = Set(entries.filter { $0.kind == "SCHEMA" }.map(\.name))
        return Set(entries.compactMap(\.schema)).subtracting(made).sorted()
    }

    /// SQL that drops what would be made, where it is there: all tables at once, since partitions, their indexes and foreign keys among them go together only
    /// (pg_restore's own way, one after the other, fails at constraints of partitions).
    var drops: String {
        func statement(_ kind: String) -> String {
            let names = entries.filter { $0.kind == kind && $0.schema != nil }.map { TableName($0).sql }
            return names.isEmpty ? "" : "DROP \(kind) IF EXISTS \(names.joined(separator: ", "));\n"
        }
        let others = entries.reversed().filter { ["TYPE", "DOMAIN", "FUNCTION", "PROCEDURE", "AGGREGATE", "COLLATION"].contains($0.kind) }
        let statements = ["MATERIALIZED VIEW", "VIEW", "TABLE", "FOREIGN TABLE", "SEQUENCE"].map(statement).joined()
            + others.filter { $0.dropStatement.hasPrefix("DROP \($0.kind) ") }
            .map { "DROP \($0.kind) IF EXISTS" + $0.dropStatement.dropFirst("DROP \($0.kind)".count) }.joined()
        // What pg_restore writes behind them says its own encoding, which is the dumped database's.
        return statements.isEmpty ? "" : "SET client_encoding = 'UTF8';\n" + statements
    }

    // MARK: - Leaving out

    /// The partitions that would be attached to tables which do not come along, and these tables.
    public var openAttachments: [(entry: DumpEntry, parent: TableName)] {
        entries.compactMap { entry in attachments[entry.id].map { (entry, $0) } }
    }

    /// The same with partitions attached last to tables that are there already: these bring indexes of their own to what is attached, and take those that it
    /// has by then.
    func attachingLast() -> TableSelection {
        var rest = self
        let open = openAttachments.map(\.entry)
        let dropped = Set(open.filter { $0.kind != "TABLE ATTACH" }.map(\.id))
        let last = Set(open.map(\.id)).subtracting(dropped)
        rest.entries.removeAll { dropped.contains($0.id) }
        rest.putLast { last.contains($0.id) }
        return rest
    }

    mutating func putLast(_ isLast: (DumpEntry) -> Bool) {
        let last = entries.filter(isLast)
        entries = entries.filter { !isLast($0) } + last
        late = Set(last.map(\.id))
    }

    /// The same without some entries.
    public func without(_ isUnwanted: (DumpEntry) -> Bool) -> TableSelection {
        var rest = self
        rest.entries.removeAll(where: isUnwanted)
        return rest
    }

    /// For `pg_restore --use-list`: entries with rows in the archive's order, so that one that comes through a pipe is read once, from beginning to end.
    var list: String { Self.list(entries) }

    /// The list of what is restored before and after `late`.
    var parts: (early: String, late: String?) {
        (Self.list(entries.filter { !late.contains($0.id) }), late.isEmpty ? nil : Self.list(entries.filter { late.contains($0.id) }))
    }

    private static func list(_ entries: [DumpEntry]) -> String { entries.map { "\($0.id);\n" }.joined() }

    /// What people are told of: sequences come along unsaid.
    var told: [TableName] {
        let sequences = Set(entries.filter { $0.kind == "SEQUENCE" }.map(TableName.init)).subtracting(asked)
        return tables.filter { !sequences.contains($0) }
    }
}

extension TableName {
    init(_ entry: DumpEntry) { self.init(schema: entry.schema ?? "", name: entry.name) }
}
