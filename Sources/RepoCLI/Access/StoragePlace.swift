import Glibc
import Ingest
import RepoBase
import Storage
import StorageRemote

/// What a repository stands on, as far as its location tells.
struct StoragePlace: Equatable {
    /// For people: `disk 8:1`, `file server 0:53`, `s3 at s3.example.org`, `sftp at backup`. What fails together has the same.
    let name: String
    /// Not on this machine, nor on a file server that it has mounted; unless the configuration says otherwise.
    let isOffSite: Bool

    /// - Parameters:
    ///   - storeLocation: as the open store names itself, endpoints of the environment left out.
    ///   - isOffSite: what the configuration says.
    init(_ location: RepositoryLocation, _ storeLocation: String, isOffSite: Bool?) {
        let host: String?
        switch location {
        case .directory(let path):
            name = Self.fileSystem(path)
            host = nil
        case .sftp(let server):
            name = "sftp at \(server.host)"
            host = server.host
        case .remote:
            let parts = storeLocation.split(separator: ":", maxSplits: 1)
            let rest = parts.count > 1 ? parts[1] : ""
            let endpoint = rest.hasPrefix("http") ? rest.split(separator: "/", maxSplits: 2).dropFirst().first.map(String.init) : nil
            name = endpoint.map { "\(parts[0]) at \($0)" } ?? "\(parts[0])"
            host = endpoint ?? "the provider's own"
        }
        self.isOffSite = isOffSite ?? host.map { !Self.isThisMachine($0) } ?? false
    }

    private static func fileSystem(_ path: String) -> String {
        var information = stat()
        guard stat(path, &information) == 0 else { return "disk" }
        let number = DeviceNumber(encoded: UInt(information.st_dev))
        let device = "\(number.major):\(number.minor)"
        let isOnNetwork = (try? LocalStore(path: path, mustExist: true).isOnNetwork) ?? false
        return (isOnNetwork ? "file server " : "disk ") + device
    }

    private static func isThisMachine(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? String(host.dropFirst().prefix { $0 != "]" }) : String(host.prefix { $0 != ":" })
        return name == "localhost" || name == "::1" || name.hasPrefix("127.") || name == MachineNames.host
    }
}
