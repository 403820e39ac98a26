/// Text in columns, for one line after the other: what `TextTable` lays out when it knows all rows, and what listings use that begin before
/// they do. The last column is not padded; a cell that is too long pushes the rest of its line.
struct TextColumns {
    var widths: [Int]
    /// Columns of numbers.
    var rightAligned: Set<Int> = []
    /// Blanks between two columns.
    var gap = 2
    /// Blanks before the first.
    var indent = 0

    /// Without an end of line, nor blanks there.
    func line(_ cells: [String]) -> String {
        var line = String(repeating: " ", count: indent)
        for (column, cell) in cells.enumerated() {
            let padding = String(repeating: " ", count: max(0, widths[column] - cell.count))
            if column > 0 { line += String(repeating: " ", count: gap) }
            line += rightAligned.contains(column) ? padding + cell : column == cells.count - 1 ? cell : cell + padding
        }
        while line.last == " " { line.removeLast() }
        return line
    }
}

/// Columns of text for people, two blanks apart, each as wide as its longest cell.
struct TextTable {
    private var rows: [[String]]
    private let rightAligned: Set<Int>

    /// - Parameter rightAligned: columns of numbers.
    init(_ headings: [String], rightAligned: Set<Int> = []) {
        rows = [headings]
        self.rightAligned = rightAligned
    }

    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// Lines with their ends; only headings where no row was added.
    var text: String {
        let columns = TextColumns(
            widths: rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }, rightAligned: rightAligned)
        return rows.map { columns.line($0) + "\n" }.joined()
    }
}
