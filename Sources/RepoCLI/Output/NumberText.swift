/// Numbers for people.
enum NumberText {
    /// `4711` becomes `4,711`.
    static func grouped(_ number: UInt64) -> String {
        var text = ""
        for (position, digit) in String(number).reversed().enumerated() {
            if position > 0, position % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed())
    }

    /// `1 pack`, `4,711 packs`.
    /// - Parameter many: the word for any number but one; nil: `one` with an s.
    static func counted(_ number: some BinaryInteger, _ one: String, _ many: String? = nil) -> String {
        "\(grouped(UInt64(number))) \(number == 1 ? one : many ?? one + "s")"
    }

    /// `2.1 s`, `3 min 20 s`, `2 h 5 min`.
    static func seconds(_ seconds: Double) -> String {
        if seconds < 1 { return "\(Int((seconds * 1000).rounded(.up))) ms" }
        if seconds < 60 {
            let tenths = Int((seconds * 10).rounded())
            return "\(tenths / 10).\(tenths % 10) s"
        }
        let whole = Int(seconds.rounded())
        return whole < 3600
            ? "\(whole / 60) min \(whole % 60) s" : "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}
