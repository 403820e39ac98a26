import Glibc
import RepoBase
public import Storage
public import StorageRemote

/// A program of `Tests/Fakes` that speaks a provider's protocol on loopback: it verifies signatures, tokens and checksums by itself, and keeps to the
/// provider's rules for conditions, parts, ranges and pages. Written from the provider's documents, and accepted only as far as its own SDK works
/// against it (`Tests/Fakes/accept`); still, what passes here is *emulated*, not tried on the provider.
public final class EmulatedCloud: Sendable {
    public enum Provider: String, Sendable {
        case azure
        case google
    }

    /// The bucket or container that exists.
    public static let bucket = "repo"
    /// One that keeps versions and locks them where it is asked to.
    public static let lockingBucket = "worm"
    public static let account = "testaccount"
    public static let accountKey = "dGhpcyBpcyBhIGtleSBvZiB0aGUgdGVzdHMsIGFuZCBvZiBub2JvZHkgZWxzZQ=="
    public static let accessKey = "GOOG1TESTS"
    public static let secretKey = "secretoftests"

    private let process: ServerProcess
    public let provider: Provider
    public let port: Int
    public var folder: String { process.folder }

    private static let azure = Result { try EmulatedCloud(.azure) }
    private static let google = Result { try EmulatedCloud(.google) }

    /// The one that tests share; it ends with the process.
    public static func running(_ provider: Provider) throws -> EmulatedCloud {
        switch provider {
        case .azure: try azure.get()
        case .google: try google.get()
        }
    }

    public init(_ provider: Provider) throws {
        self.provider = provider
        let folder = try ServerProcess.makeFolder(provider.rawValue)
        let port = try Loopback.freePorts(1)[0]
        self.port = port
        let here = "\(#filePath)"
        let root = here.split(separator: "/").dropLast(4).joined(separator: "/")
        process = try ServerProcess("/usr/bin/python3", folder: folder, ["-B", "/\(root)/Tests/Fakes/\(provider.rawValue)_fake.py", "\(port)", folder])
        let removal = ServerRemoval(process)
        try process.wait { access(folder + "/ready", F_OK) == 0 }
        removal.keep()
    }

    public func stop() { process.stop() }

    /// What the environment of a program says to reach it.
    public var environment: [String: String] {
        switch provider {
        case .azure: ["AZURE_STORAGE_KEY": Self.accountKey]
        case .google: ["GOOGLE_APPLICATION_CREDENTIALS": folder + "/credentials.json"]
        }
    }

    /// Other ways to prove who asks, each enough by itself.
    public var otherEnvironments: [[String: String]] {
        let origin = "http://127.0.0.1:\(port)"
        switch provider {
        case .azure:
            return [
                ["AZURE_STORAGE_SAS_TOKEN": text("sas")], ["AZURE_STORAGE_CONNECTION_STRING": "AccountName=\(Self.account);AccountKey=\(Self.accountKey)"],
                ["AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": "s3cr&t", "AZURE_AUTHORITY_HOST": origin],
                ["AZURE_POD_IDENTITY_AUTHORITY_HOST": origin], ["IDENTITY_ENDPOINT": origin + "/msi/token", "IDENTITY_HEADER": "header"],
            ]
        case .google:
            return [
                ["GS_ACCESS_KEY_ID": Self.accessKey, "GS_SECRET_ACCESS_KEY": Self.secretKey], ["GCE_METADATA_HOST": "127.0.0.1:\(port)"],
                ["GOOGLE_APPLICATION_CREDENTIALS": folder + "/person.json"],
            ]
        }
    }

    /// Such as are refused.
    public var wrongEnvironments: [[String: String]] {
        switch provider {
        case .azure:
            return [
                ["AZURE_STORAGE_KEY": "d3Jvbmc="], ["AZURE_STORAGE_SAS_TOKEN": text("sas").replacing("sr=c", with: "sr=b")],
                ["AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_CLIENT_SECRET": "no", "AZURE_AUTHORITY_HOST": "http://127.0.0.1:\(port)"],
            ]
        case .google:
            return [
                ["GS_ACCESS_KEY_ID": Self.accessKey, "GS_SECRET_ACCESS_KEY": "wrong"], ["GOOGLE_APPLICATION_CREDENTIALS": folder + "/forged.json"],
                ["GOOGLE_ACCESS_TOKEN": "ya29.forged"],
            ]
        }
    }

    /// A file that the program has written for its clients.
    public func text(_ name: String) -> String {
        String(decoding: ((try? ServerProcess.read(folder + "/" + name)) ?? []), as: UTF8.self)
    }

    /// - Parameter options: behind the question mark.
    public func location(_ prefix: String, port: Int? = nil, bucket: String = bucket, options: String = "") -> String {
        let origin = "http://127.0.0.1:\(port ?? self.port)"
        let place = provider == .azure ? "azblob:\(origin)/\(Self.account)/\(bucket)/\(prefix)" : "gs:\(origin)/\(bucket)/\(prefix)"
        return place + (options.isEmpty ? "" : "?" + options)
    }

    /// - Parameters:
    ///   - port: of a proxy before it.
    ///   - location: options of the location.
    public func store(
        _ prefix: String = SeaweedServer.uniquePrefix(), port: Int? = nil, bucket: String = bucket, location: String = "",
        options: RemoteOptions = .init(), environment: [String: String]? = nil
    ) throws -> any Store {
        let text = self.location(prefix, port: port, bucket: bucket, options: location)
        let colon = text.firstIndex(of: ":")!
        let environment = environment ?? self.environment
        guard let location = try RemoteLocation(scheme: text[..<colon], String(text[text.index(after: colon)...])) else {
            throw RepoError(.failed, "no location: \(text)")
        }
        return try location.open(environment: { environment[$0] }, options: options)
    }
}
