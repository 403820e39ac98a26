import Glibc
import Policy
import Repository

extension CommandContext {
    /// What a repository that holds this much may grow to: as configured, or what its file system has, whichever is less. Nil where neither is known.
    func capacityForecast(_ statistics: RepositoryStatistics) throws -> CapacityForecast? {
        let configured = try configuration().repository.capacity
        var available: UInt64?
        if case .directory(let path) = try location() {
            var status = statvfs()
            if statvfs(path, &status) == 0 { available = UInt64(status.f_bavail) * UInt64(status.f_frsize) + statistics.storedBytes }
        }
        guard let capacity = [configured, available].compactMap({ $0 }).min() else { return nil }
        return CapacityForecast(storedByDay: statistics.storedByDay, capacityBytes: capacity, now: try now().seconds)
    }
}
