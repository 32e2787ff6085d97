/// Rows in aligned columns.
struct Table {
    private static let gap = 2
    private static let columnMin = 8

    var headings: [String]
    var rows: [[String]] = []
    /// Columns whose words are coloured as statuses.
    var statusColumns: Set<Int> = []

    init(_ headings: [String], statusColumns: Set<Int> = []) {
        self.headings = headings
        self.statusColumns = statusColumns
    }

    /// The lines, cut to the terminal's width where there is one; a pipe gets every character.
    func lines(for terminal: Terminal) -> [String] {
        let cells = rows.map { row in row.map { printable($0, keepingTabs: false) } }
        var widths = headings.map(\.count)
        for row in cells {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        if let width = terminal.width { shrink(&widths, to: width) }
        let bold: (String) -> String = { terminal.styled($0, .bold) }
        let heading = line(headings, widths, style: bold, status: bold)
        return [heading]
            + cells.map { row in
                line(row, widths, style: { $0 }, status: { terminal.status($0) })
            }
    }

    /// The widest column gives way first, since it holds the text that is least read to its end.
    private func shrink(_ widths: inout [Int], to total: Int) {
        while widths.reduce(0, +) + Self.gap * (widths.count - 1) > total,
            let widest = widths.indices.max(by: { widths[$0] < widths[$1] }), widths[widest] > Self.columnMin
        {
            widths[widest] -= 1
        }
    }

    private func line(
        _ cells: [String], _ widths: [Int], style: (String) -> String, status: (String) -> String
    ) -> String {
        var out = ""
        for (column, cell) in cells.enumerated() {
            let text = cell.count > widths[column] ? cell.prefix(widths[column] - 1) + "…" : cell
            let shown = statusColumns.contains(column) ? status(text) : style(text)
            out += shown
            if column < cells.count - 1 {
                out += String(repeating: " ", count: widths[column] - text.count + Self.gap)
            }
        }
        return out
    }
}

extension Terminal {
    func print(_ table: Table) {
        for text in table.lines(for: self) { line(text) }
    }
}
