import Ingest
import RepoBase

/// How far something is at one moment.
struct ProgressSample: Sendable {
    /// Done so far; bytes unless `unit` is given.
    var done: UInt64
    /// What is expected in all, perhaps not exactly; nil when nobody knows.
    var total: UInt64?
    /// What is counted: nil for bytes, else a noun in the plural.
    var unit: String?
    /// Finished files, or other things worth a number.
    var files: UInt64 = 0
    var errors: UInt64 = 0
    /// What is worked on, for people.
    var current: [UInt8] = []

    init(done: UInt64, total: UInt64? = nil, unit: String? = nil) {
        self.done = done
        self.total = total
        self.unit = unit
    }

    /// 0 to 1; an estimate that was too low ends just below 1.
    var fraction: Double? {
        guard let total, total > 0 else { return nil }
        return min(Double(done) / Double(total), 0.999)
    }

    private func amount(_ number: UInt64) -> String {
        unit == nil ? ByteCount.describe(number) : NumberText.grouped(number)
    }

    /// `1.2 GiB of 2.9 GiB, 4,711 files, 310.0 MiB/s, about 6 s left`
    func line(seconds: Double) -> String {
        var text = amount(done) + (total.map { $0 >= done ? " of \(amount($0))" : "" } ?? "")
        if let unit { text += " \(unit)" }
        if files > 0 { text += ", \(NumberText.counted(files, "file"))" }
        if seconds > 0 { text += ", \(amount(UInt64(Double(done) / seconds)))/s" }
        if let left = secondsLeft(after: seconds) { text += ", about \(NumberText.seconds(left)) left" }
        if errors > 0 { text += ", \(NumberText.grouped(errors)) not readable" }
        return text
    }

    /// By the rate so far; nil before there is one.
    func secondsLeft(after seconds: Double) -> Double? {
        guard let total, total > done, done > 0, seconds >= 1 else { return nil }
        return (seconds * Double(total - done) / Double(done)).rounded()
    }
}

/// A sample as a line of `--json --verbose`.
struct ProgressReport: Encodable {
    let progress: String
    let done: UInt64
    let total: UInt64?
    let files: UInt64
    let errors: UInt64
    let seconds: Double

    init(_ title: String, _ sample: ProgressSample, seconds: Double) {
        progress = title
        done = sample.done
        total = sample.total
        files = sample.files
        errors = sample.errors
        self.seconds = (seconds * 1000).rounded() / 1000
    }
}
