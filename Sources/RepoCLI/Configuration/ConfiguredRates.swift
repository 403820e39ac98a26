import RepoBase
import Storage

extension RateSchedule {
    /// `upload-limit` and `download-limit` of `[repository]`, and `[[repository.hours]]` with limits of their own. Throws `.usage`.
    init(_ table: inout ConfigurationTable) throws(RepoError) {
        self.init(try Rates(&table))
        for section in try table.tables("hours") {
            var part = section
            guard let from = try part.minute("from"), let to = try part.minute("to"), from != to, from < 1440 else {
                throw part.error("from", "hours need a beginning and an end", advice: "Write from = \"08:00\" and to = \"18:00\".")
            }
            hours.append(Hours(from: from, to: to, rates: try Rates(&part)))
            try part.finish()
        }
    }
}

extension RateSchedule.Rates {
    fileprivate init(_ table: inout ConfigurationTable) throws(RepoError) {
        self.init(upload: try table.rate("upload-limit"), download: try table.rate("download-limit"))
    }
}

extension ConfigurationTable {
    fileprivate mutating func rate(_ key: String) throws(RepoError) -> Int? {
        guard let text = try string(key) else { return nil }
        guard let rate = ByteCount.parse(text), let count = Int(exactly: rate) else {
            throw error(key, "'\(text)' is no rate", advice: "Write bytes a second, as in \(key) = \"2M\".")
        }
        return count
    }

    /// `HH:MM` as minutes since midnight; `24:00` is the day's end.
    fileprivate mutating func minute(_ key: String) throws(RepoError) -> Int? {
        guard let text = try string(key) else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.count == 2 }), let hour = UInt8(parts[0]), let minute = UInt8(parts[1]), minute < 60,
            hour < 24 || hour == 24 && minute == 0
        else { throw error(key, "'\(text)' is no time of the day", advice: "Write it as \"08:00\".") }
        return Int(hour) * 60 + Int(minute)
    }
}

extension CommandContext {
    /// With the limits of the command line, before those of the configuration.
    func paced(_ store: any Store) throws -> any Store {
        var schedule = try configuration().repository.rates
        if let upload = try rate(options.limitUpload, "--limit-upload") {
            schedule.otherwise.upload = upload
            for index in schedule.hours.indices { schedule.hours[index].rates.upload = upload }
        }
        if let download = try rate(options.limitDownload, "--limit-download") {
            schedule.otherwise.download = download
            for index in schedule.hours.indices { schedule.hours[index].rates.download = download }
        }
        return schedule.isUnlimited ? store : ThrottledStore(store, schedule)
    }

    private func rate(_ text: String?, _ name: String) throws(RepoError) -> Int? {
        guard let text else { return nil }
        guard let rate = ByteCount.parse(text), let count = Int(exactly: rate) else {
            throw RepoError(.usage, "\(name) \(text) is no rate", advice: "Give bytes a second, as in 2M.")
        }
        return count
    }
}
